/* http_table_test.c - hostile and odd requests, byte by byte, and the one answer each may get.
 *
 * Every row runs over a real unix socket twice: in one write, and one byte at a time.  A row names
 * the statuses in order; "c": the connection ends behind them, else it must still serve a request.
 */
#include "http_rig.h"

typedef struct row {
    const char *id, *input;
    size_t n;
    const char *want;
} row;

#define ROW(id, input, want)               \
    {                                      \
        id, input, sizeof(input) - 1, want \
    }
#define H       "Host: x\r\n"
#define GET_    "GET /_ping HTTP/1.1\r\n"
#define POST_   "POST /echo HTTP/1.1\r\n" H
#define CHUNKED POST_ "Transfer-Encoding: chunked\r\n\r\n"
#define TE(v)   POST_ "Transfer-Encoding: " v "\r\n\r\n2\r\nab\r\n0\r\n\r\n"
#define CL(v)   POST_ "Content-Length: " v "\r\n\r\nab"
#define JSON(n) \
    "POST /json HTTP/1.1\r\n" H "Content-Type: application/json\r\nContent-Length: " #n "\r\n\r\n"

static const row rows[] = {
    ROW("H01 1.0 without Host", "GET /_ping HTTP/1.0\r\n\r\n", "200 c"),
    ROW("H01 1.0 keep-alive", "GET /_ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "200"),
    ROW("H02 1.1 without Host", GET_ "\r\n", "400 c"),
    ROW("H03 0.9", "GET /_ping\r\n\r\n", "400 c"),
    ROW("H04 2.0", "GET /_ping HTTP/2.0\r\n" H "\r\n", "505 c"),
    ROW("H05 1.2", "GET /_ping HTTP/1.2\r\n" H "\r\n", "400 c"),
    ROW("H06 01.1", "GET /_ping HTTP/01.1\r\n" H "\r\n", "400 c"),
    ROW("H06 lower case", "GET /_ping http/1.1\r\n" H "\r\n", "400 c"),
    ROW("H07 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 c"),
    ROW("H08 h2c",
        GET_ H "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "
               "AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n",
        "200"),
    ROW("H09 TLS hello", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "400 c"),
    ROW("H10 two Hosts", GET_ H "host: y\r\n\r\n", "400 c"),
    ROW("H11 Host a b", GET_ "Host: a b\r\n\r\n", "400 c"),
    ROW("H11 Host a/b", GET_ "Host: a/b\r\n\r\n", "400 c"),
    ROW("H11 Host a@b", GET_ "Host: a@b\r\n\r\n", "400 c"),
    ROW("H11 Host control",
        GET_ "Host: a\x01"
             "b\r\n\r\n",
        "400 c"),
    ROW("H11 Host encoded path", GET_ "Host: %2Fvar%2Frun%2Fdocker.sock\r\n\r\n", "200"),
    ROW("H11 Host v6", GET_ "Host: [::1]:2375\r\n\r\n", "200"),
    ROW("H12 leading CRLF", "\r\n" GET_ H "\r\n", "400 c"),
    ROW("H12 CRLF between", GET_ H "\r\n\r\n" GET_ H "\r\n", "200 200"),
    ROW("H12 two CRLF between", GET_ H "\r\n\r\n\r\n" GET_ H "\r\n", "200 400 c"),
    ROW("H12 CR X between", GET_ H "\r\n\rX" GET_ H "\r\n", "200 400 c"),
    ROW("H13 bare LF", "GET /_ping HTTP/1.1\nHost: x\n\n", "400 c"),
    ROW("H13 bare LF in headers", GET_ "Host: x\n\r\n", "400 c"),
    ROW("H14 bare CR", "GET /_ping HTTP/1.1\rHost: x\r\r", "400 c"),
    ROW("H15 two spaces", "GET  /_ping HTTP/1.1\r\n" H "\r\n", "400 c"),
    ROW("H15 two spaces behind", "GET /_ping  HTTP/1.1\r\n" H "\r\n", "400 c"),
    ROW("H15 tab", "GET\t/_ping HTTP/1.1\r\n" H "\r\n", "400 c"),
    ROW("H15 space at the end", "GET /_ping HTTP/1.1 \r\n" H "\r\n", "400 c"),
    ROW("H16 get", "get /_ping HTTP/1.1\r\n" H "\r\n", "400 c"),
    ROW("H16 BREW", "BREW /_ping HTTP/1.1\r\n" H "\r\n", "404 c"),
    ROW("H16 PATCH", "PATCH /_ping HTTP/1.1\r\n" H "\r\n", "404 c"),
    ROW("H17 OPTIONS *", "OPTIONS * HTTP/1.1\r\n" H "\r\n", "200"),
    ROW("H17 OPTIONS any", "OPTIONS /what/ever HTTP/1.1\r\n" H "\r\n", "200"),
    ROW("H18 CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n" GET_ H "\r\n", "405 c"),
    ROW("H19 NUL in the path", "GET /_pi\0ng HTTP/1.1\r\n" H "\r\n", "400 c"),
    ROW("H20 %00", "GET /_ping%00 HTTP/1.1\r\n" H "\r\n", "400 c"),
    ROW("H20 %zz", "GET /_ping%zz HTTP/1.1\r\n" H "\r\n", "400 c"),
    ROW("H20 % at the end", "GET /_ping%2 HTTP/1.1\r\n" H "\r\n", "400 c"),
    ROW("H20 0xFF", "GET /_ping\xff HTTP/1.1\r\n" H "\r\n", "400 c"),
    ROW("H21 //_ping", "GET //_ping HTTP/1.1\r\n" H "\r\n", "301"),
    ROW("H21 /x/../_ping", "GET /x/../_ping HTTP/1.1\r\n" H "\r\n", "301"),
    ROW("H21 /x/%2e%2e/_ping", "GET /x/%2e%2e/_ping HTTP/1.1\r\n" H "\r\n", "301"),
    ROW("H21 POST //echo", "POST //echo HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", "404"),
    ROW("H21 ../../etc/passwd", "GET /../../etc/passwd HTTP/1.1\r\n" H "\r\n", "301"),
    ROW("H22 absolute form", "GET http://else.where/_ping HTTP/1.1\r\n" H "\r\n", "200"),
    ROW("H22 absolute, no path", "GET http://else.where?/_ping HTTP/1.1\r\n" H "\r\n", "404"),
    ROW("H26 blank in name", GET_ H "X A: 1\r\n\r\n", "400 c"),
    ROW("H26 blank behind name", GET_ H "X-A : 1\r\n\r\n", "400 c"),
    ROW("H26 no name", GET_ H ": 1\r\n\r\n", "400 c"),
    ROW("H26 no colon", GET_ H "X-A\r\n\r\n", "400 c"),
    ROW("H27 obs-fold", GET_ H "X-A: 1\r\n 2\r\n\r\n", "400 c"),
    ROW("H27 folded first", GET_ " x: 1\r\n" H "\r\n", "400 c"),
    ROW("H28 NUL",
        GET_ H "X-A: 1\0"
               "2\r\n\r\n",
        "400 c"),
    ROW("H28 CR", GET_ H "X-A: 1\r2\r\n\r\n", "400 c"),
    ROW("H28 0x01", GET_ H "X-A: 1\x01\r\n\r\n", "400 c"),
    ROW("H29 0xFF", GET_ H "X-A: \xff\r\n\r\n", "200"),
    ROW("H30 CL, TE",
        POST_ "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" GET_ H "\r\n",
        "400 c"),
    ROW("H30 TE, CL",
        POST_ "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" GET_ H "\r\n",
        "400 c"),
    ROW("H31 two CL, equal", POST_ "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab", "400 c"),
    ROW("H31 two CL, different", POST_ "Content-Length: 2\r\nContent-Length: 3\r\n\r\nab", "400 c"),
    ROW("H32 2, 2", CL("2, 2"), "400 c"),
    ROW("H32 +2", CL("+2"), "400 c"),
    ROW("H32 -1", CL("-1"), "400 c"),
    ROW("H32 0x2", CL("0x2"), "400 c"),
    ROW("H32 1Z", CL("1Z"), "400 c"),
    ROW("H32 1_0", CL("1_0"), "400 c"),
    ROW("H33 empty, then a GET", POST_ "Content-Length: \r\n\r\n" GET_ H "\r\n", "400 c"),
    ROW("H34 2^63", CL("9223372036854775808"), "413 c"),
    ROW("H34 2^64+2", CL("18446744073709551618"), "400 c"),
    ROW("H35 002", CL("002"), "200"),
    ROW("H36 identity, chunked", TE("identity, chunked"), "501 c"),
    ROW("H36 gzip, chunked", TE("gzip, chunked"), "501 c"),
    ROW("H37 xchunked", TE("xchunked"), "501 c"),
    ROW("H37 chunked, chunked", TE("chunked, chunked"), "501 c"),
    ROW("H37 chunked, identity", TE("chunked, identity"), "501 c"),
    ROW("H37 two lines", TE("chunked\r\nTransfer-Encoding: chunked"), "501 c"),
    ROW("H37 control",
        TE("\x0b"
           "chunked"),
        "501 c"),
    ROW("H37 folded", TE("\r\n chunked"), "501 c"),
    ROW("H37 comma in front", TE(",chunked"), "501 c"),
    ROW("H37 0xA0 in front",
        TE("\xa0"
           "chunked"),
        "501 c"),
    ROW("H37 chunked;q=1", TE("chunked;q=1"), "501 c"),
    ROW("H37 CHUNKED", TE("CHUNKED"), "200"),
    ROW("H38 TE in 1.0",
        "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", "400 c"),
    ROW("H39 Transfer_Encoding", POST_ "Transfer_Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        "200 400 c"),
    ROW("H40 0x2", CHUNKED "0x2\r\nab\r\n0\r\n\r\n", "400 c"),
    ROW("H40 +2", CHUNKED "+2\r\nab\r\n0\r\n\r\n", "400 c"),
    ROW("H40 -1", CHUNKED "-1\r\nab\r\n0\r\n\r\n", "400 c"),
    ROW("H40 blank 2", CHUNKED " 2\r\nab\r\n0\r\n\r\n", "400 c"),
    ROW("H40 2_0", CHUNKED "2_0\r\nab\r\n0\r\n\r\n", "400 c"),
    ROW("H40 empty", CHUNKED "\r\nab\r\n0\r\n\r\n", "400 c"),
    ROW("H40 17 hex", CHUNKED "00000000000000002\r\nab\r\n0\r\n\r\n", "400 c"),
    ROW("H41 2 blank", CHUNKED "2 \r\nab\r\n0\r\n\r\n", "400 c"),
    ROW("H42 16 f", CHUNKED "ffffffffffffffff\r\nab", "400 c"),
    ROW("H42 above 2^62", CHUNKED "4000000000000001\r\nab", "400 c"),
    ROW("H44 extension", CHUNKED "2;a=b\r\nab\r\n0;x\r\n\r\n", "200"),
    ROW("H46 LF in an extension", CHUNKED "2;a\nb\r\nab\r\n0\r\n\r\n", "400 c"),
    ROW("H46 CR X in an extension", CHUNKED "2;a\rX\r\nab\r\n0\r\n\r\n", "400 c"),
    ROW("H47 size line by LF", CHUNKED "2\nab\r\n0\r\n\r\n", "400 c"),
    ROW("H47 data by LF", CHUNKED "2\r\nab\n0\r\n\r\n", "400 c"),
    ROW("H48 last chunk by LF", CHUNKED "0\n\n" GET_ H "\r\n", "400 c"),
    ROW("H49 trailer Content-Length",
        CHUNKED "2\r\nab\r\n0\r\nContent-Length: 5\r\n\r\n" GET_ H "\r\n", "400 c"),
    ROW("H49 harmless trailer", CHUNKED "2\r\nab\r\n0\r\nX-Sum: 5\r\n\r\n" GET_ H "\r\n",
        "200 200"),
    ROW("H51 close, then a GET", GET_ H "Connection: close\r\n\r\n" GET_ H "\r\n", "200 c"),
    ROW("H51 close among others", GET_ H "Connection: foo, Close\r\n\r\n", "200 c"),
    ROW("H53 expects", POST_ "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nab", "100 200"),
    ROW("H53 expects nonsense", POST_ "Expect: x\r\nContent-Length: 2\r\n\r\nab", "417 c"),
    ROW("H54 {}{}", JSON(4) "{}{}", "400"),
    ROW("H54 {} x", JSON(4) "{} x", "400"),
    ROW("H55 bad UTF-8", JSON(13) "{\"Name\":\"\xc3\x28\"}", "400"),
    ROW("H55 NUL in a name", JSON(19) "{\"Name\":\"a\\u0000b\"}", "400"),
    ROW("H55 the last duplicate", JSON(25) "{\"Name\":\"a\",\"name\" :\"b\" }", "201"),
    ROW("H56 no Content-Type", "POST /json HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\n{}", "400"),
    ROW("H56 wrong Content-Type",
        "POST /json HTTP/1.1\r\n" H "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
        "400"),
    ROW("H56 with a charset",
        "POST /json HTTP/1.1\r\n" H
        "Content-Type: application/json; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}",
        "201"),
    ROW("H57 Upgrade: tcp", GET_ H "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n", "200"),
    ROW("H57 with a body",
        POST_ "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\nab" GET_ H "\r\n",
        "200 200"),
};

/* The statuses that came, and "c" when the connection ended: what the third column says. */
static void collect(int fd, size_t answers, bool may_end, buf *out)
{
    auto_buf in = {0};

    for (size_t i = 0; i < answers; i++) {
        auto_answer a = cl_answer(fd, &in);

        buf_printf(out, "%s%d", i ? " " : "", a.status);
    }
    if (may_end)
        buf_str(out, cl_ends(fd, &in) ? " c" : " open");
    else
        buf_str(out, in.len || !cl_is_usable(fd) ? " dead" : "");
}

static void check_bytes(const char *id, const char *p, size_t n, size_t piece, const char *want)
{
    auto_buf got = {0};
    bool ends = str_ends(want, " c");
    size_t answers = 1;
    int fd = cl_unix();

    for (const char *c = want; *c; c++)
        answers += *c == ' ';
    for (size_t at = 0; at < n; at += piece)
        if (cl_send(fd, p + at, n - at < piece ? n - at : piece) == 0)
            break;
    collect(fd, answers - ends, ends, &got);
    close(fd);
    if (!str_eq(got.data, want))
        fail_msg("%s (pieces of %zu): %s instead of %s", id, piece, got.data, want);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_bytes(rows[i].id, rows[i].input, rows[i].n, rows[i].n, rows[i].want);
        check_bytes(rows[i].id, rows[i].input, rows[i].n, 1, rows[i].want);
    }
}

static void add_many(buf *b, char c, size_t n)
{
    auto_free char *p = xmalloc(n);

    memset(p, c, n);
    buf_add(b, p, n);
}

static void check_query(size_t n, const char *want)
{
    auto_buf b = {0};

    buf_str(&b, "GET /_ping?q=");
    add_many(&b, 'q', n);
    buf_str(&b, " HTTP/1.1\r\n" H "\r\n");
    check_bytes("H23", b.data, b.len, b.len, want);
}

static void test_long_queries(void **state)
{
    (void)state;
    check_query(8 << 10, "200");
    check_query(64 << 10, "200");
    check_query(3 << 19, "431 c");
}

static void check_header(size_t n, size_t count, const char *want)
{
    auto_buf b = {0};

    buf_str(&b, GET_ H);
    for (size_t i = 0; i < count; i++) {
        buf_printf(&b, "X-%zu: ", i);
        add_many(&b, 'v', n);
        buf_str(&b, "\r\n");
    }
    buf_str(&b, "\r\n");
    check_bytes("H24, H25", b.data, b.len, b.len, want);
}

static void test_long_and_many_headers(void **state)
{
    (void)state;
    check_header(64 << 10, 1, "200");
    check_header(100000, 10, "200");
    check_header(120000, 10, "431 c");
    check_header(1, 100, "200");
    check_header(1, HTTP_HEADERS_MAX - 1, "200"); /* and Host */
    check_header(1, HTTP_HEADERS_MAX, "431 c");
    check_header(1, 5000, "431 c");
}

static void check_chunks(const char *id, const char *before, char c, size_t n, const char *after,
                         const char *want)
{
    auto_buf b = {0};

    buf_str(&b, CHUNKED);
    buf_str(&b, before);
    add_many(&b, c, n);
    buf_str(&b, after);
    check_bytes(id, b.data, b.len, b.len, want);
    check_bytes(id, b.data, b.len, 4093, want);
}

static void test_long_chunk_lines(void **state)
{
    (void)state;
    check_chunks("H43", "", '0', 200, "2\r\nab\r\n0\r\n\r\n", "400 c");
    check_chunks("H44", "2;", 'e', 4000, "\r\nab\r\n0\r\n\r\n", "200");
    check_chunks("H45", "2;", 'e', 1 << 20, "\r\nab\r\n0\r\n\r\n", "400 c");
    check_chunks("H49", "0\r\nX: ", 't', 7 << 10, "\r\n\r\n", "200");
    check_chunks("H50", "0\r\nX: ", 't', 1200 << 10, "\r\n\r\n", "431 c");
}

static void test_extensions_of_a_body(void **state)
{
    auto_buf b = {0};

    (void)state;
    buf_str(&b, CHUNKED);
    for (int i = 0; i < 17; i++) {
        buf_str(&b, "1;");
        add_many(&b, 'e', 4000);
        buf_str(&b, "\r\na\r\n");
    }
    buf_str(&b, "0\r\n\r\n");
    check_bytes("H44", b.data, b.len, b.len, "400 c");
}

static void test_deep_json(void **state)
{
    auto_buf body = {0}, b = {0};

    (void)state;
    buf_str(&body, "{\"x\":");
    add_many(&body, '[', 100000);
    add_many(&body, ']', 100000);
    buf_char(&body, '}');
    buf_printf(&b,
               "POST /json HTTP/1.1\r\n" H
               "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
               body.len, body.data);
    check_bytes("H55", b.data, b.len, b.len, "400");
}

static void test_json_texts(void **state)
{
    static const struct {
        const char *request, *message;
    } texts[] = {
        {"POST /json HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\n{}",
         "unsupported Content-Type header (): must be 'application/json'"},
        {"POST /json HTTP/1.1\r\n" H "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
         "unsupported Content-Type header (text/plain): must be 'application/json'"},
        {JSON(4) "{}{}", "unexpected content after JSON"},
        {JSON(0), "invalid JSON: got EOF while reading request body"},
    };
    int fd = cl_unix();

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        auto_answer a = cl_ask(fd, texts[i].request);
        auto_free char *want = xasprintf("{\"message\":\"%s\"}\n", texts[i].message);

        assert_string_equal(a.body, want);
        assert_string_equal(answer_header(&a, "Content-Type"), "application/json");
    }
    close(fd);
}

static void test_redirect_location(void **state)
{
    int fd = cl_unix();
    auto_answer a = cl_ask(fd, "GET /v1.41//x/../a%20b%2Fc?q=1 HTTP/1.1\r\n" H "\r\n");

    (void)state;
    assert_int_equal(a.status, 301);
    assert_string_equal(answer_header(&a, "Location"), "/v1.41/a%20b%2Fc?q=1");
    close(fd);
}

/* What follows a TE or CL trick must never be served as a request of its own. */
static void test_one_request_one_answer(void **state)
{
    int before = rig.handled;

    (void)state;
    check_bytes("H30", rows[0].input, rows[0].n, rows[0].n, "200 c");
    check_bytes("H48", CHUNKED "0\n\n" PING, sizeof(CHUNKED "0\n\n" PING) - 1, 1, "400 c");
    assert_int_equal(rig.handled, before + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(test_rows),
        rig_test(test_long_queries),
        rig_test(test_long_and_many_headers),
        rig_test(test_long_chunk_lines),
        rig_test(test_extensions_of_a_body),
        rig_test(test_deep_json),
        rig_test(test_json_texts),
        rig_test(test_redirect_location),
        rig_test(test_one_request_one_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
