/* stdio_test.c - what attached clients get and give: big round trips, terminals, several at once,
 * one that does not read. */
#include "bundle.h"

enum { BIG = 50 * 1024 * 1024 };

/* Pseudo-random bytes, the same for the same offset, so that a round trip can be compared. */
static void fill(char *p, size_t n)
{
    uint64_t x = 88172645463325252ULL;

    for (size_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        p[i] = (char)x;
    }
}

/* Feeds a taker's stdin from memory and closes it at the end. */
typedef struct feeder {
    taker t;
    const char *data;
    size_t at, n;
} feeder;

static void feed(feeder *f)
{
    while (f->at < f->n) {
        size_t piece = f->n - f->at < 100000 ? f->n - f->at : 100000;

        f->at += piece;
        if (!attach_stdin(f->t.a, f->data + f->at - piece, piece))
            return;
    }
    attach_stdin_eof(f->t.a);
}

static void on_feed_drain(void *arg)
{
    feed(arg);
}

static const attach_events feeder_events = {on_taker_output, on_taker_end, on_feed_drain};

static void test_stdin_round_trip(void **state)
{
    box *b = box_new(NULL);
    auto_free char *data = xmalloc(BIG);
    feeder f = {.data = data, .n = BIG};

    (void)state;
    fill(data, BIG);
    b->spec.open_stdin = b->spec.stdin_once = true;
    b->spec.log.driver = "none";
    box_config(b, "\"cat\"", false, "");
    box_spawn(b);
    f.t.a = monitor_attach(b->m, "", ATTACH_STDIN | ATTACH_STDOUT, &feeder_events, &f);
    box_run(b);
    feed(&f);
    assert_true(wait_for(&f.t.ended, WAIT_MS * 2));
    assert_null(f.t.why);
    assert_int_equal(f.t.out.len, BIG);
    assert_memory_equal(f.t.out.data, data, BIG);
    assert_true(wait_for(&b->ended, WAIT_MS));
    assert_int_equal(b->exit.code, 0);
    taker_done(&f.t);
    box_free(b);
}

/* Without StdinOnce the end of a client's input is not the end of the container's. */
static void test_stdin_stays_open_without_once(void **state)
{
    box *b = box_new(NULL);
    taker first, second;

    (void)state;
    b->spec.open_stdin = true;
    box_config(b, "\"head\",\"-c\",\"8\"", false, "");
    box_spawn(b);
    taker_attach(&first, b, "", ATTACH_STDIN | ATTACH_STDOUT);
    box_run(b);
    assert_true(attach_stdin(first.a, "half", 4));
    attach_stdin_eof(first.a);
    pass_time(100);
    taker_done(&first);
    pass_time(100);
    assert_false(b->ended);
    taker_attach(&second, b, "", ATTACH_STDIN | ATTACH_STDOUT);
    assert_true(attach_stdin(second.a, "full", 4));
    assert_true(wait_for(&second.ended, WAIT_MS));
    assert_string_equal(second.out.data, "halffull");
    assert_true(wait_for(&b->ended, WAIT_MS));
    taker_done(&second);
    box_free(b);
}

/* StdinOnce: also a client that just leaves ends the input. */
static void test_stdin_once_ends_with_client(void **state)
{
    box *b = box_new(NULL);
    taker t;

    (void)state;
    b->spec.open_stdin = b->spec.stdin_once = true;
    box_config(b, "\"sh\",\"-c\",\"cat; exit 3\"", false, "");
    box_spawn(b);
    taker_attach(&t, b, "", ATTACH_STDIN);
    box_run(b);
    assert_true(attach_stdin(t.a, "x\n", 2));
    taker_done(&t);
    assert_true(wait_for(&b->ended, WAIT_MS));
    assert_int_equal(b->exit.code, 3);
    box_free(b);
}

static void on_resized(void *arg, err *e)
{
    box *b = arg;

    assert_null(e);
    b->resized = true;
}

static void test_tty_and_resize(void **state)
{
    static const char *const runtimes[] = {"crun", "runc"};

    (void)state;
    for (size_t i = 0; i < COUNT(runtimes); i++) {
        box *b = box_new(runtimes[i]);
        taker t;

        b->spec.tty = b->spec.open_stdin = true;
        b->spec.rows = 30;
        b->spec.cols = 100;
        box_config(b, "\"sh\",\"-c\",\"read x; stty size; read x; stty size; echo [$x]; exit 4\"",
                   true, "");
        box_spawn(b);
        taker_attach(&t, b, "", ATTACH_STDIN | ATTACH_STDOUT);
        box_run(b);
        assert_true(attach_stdin(t.a, "\n", 1));
        pass_time(300);
        monitor_resize(b->m, "", 40, 120, on_resized, b);
        assert_true(wait_for(&b->resized, WAIT_MS));
        assert_true(attach_stdin(t.a, "typed\n", 6));
        assert_true(wait_for(&t.ended, WAIT_MS));
        assert_null(t.why);
        assert_non_null(strstr(t.out.data, "30 100\r\n"));
        assert_non_null(strstr(t.out.data, "40 120\r\n"));
        assert_non_null(strstr(t.out.data, "[typed]\r\n"));
        assert_true(wait_for(&b->ended, WAIT_MS));
        assert_int_equal(b->exit.code, 4);
        taker_done(&t);
        box_free(b);
    }
}

/* Three clients, one of them never reads: the others get everything, the container is held up for a
 * bounded time, and the one is told why it was dropped. */
static void test_stalled_client_is_dropped(void **state)
{
    box *b = box_new(NULL);
    taker t[3];
    int64_t begin, ms;

    (void)state;
    b->spec.log.driver = "none";
    box_config(b, "\"sh\",\"-c\",\"yes 0123456789 | head -c 20000000\"", false, "");
    box_spawn(b);
    for (size_t i = 0; i < COUNT(t); i++)
        taker_attach(&t[i], b, "", ATTACH_STDOUT);
    attach_pause(t[1].a, true);
    begin = time_mono_ns();
    box_run(b);
    assert_true(wait_for(&t[0].ended, WAIT_MS));
    assert_true(wait_for(&t[2].ended, WAIT_MS));
    ms = (time_mono_ns() - begin) / 1000000;
    assert_int_equal(t[0].out.len, 20000000);
    assert_int_equal(t[2].out.len, 20000000);
    assert_in_range(ms, 1500, 8000);
    assert_true(wait_for(&b->ended, WAIT_MS));
    assert_false(t[1].ended);
    attach_pause(t[1].a, false);
    assert_true(wait_for(&t[1].ended, WAIT_MS));
    assert_int_equal(err_kind(t[1].why), ERR_CANCELLED);
    assert_in_range(t[1].out.len, 1, 19999999);
    assert_memory_equal(t[1].out.data, t[0].out.data, t[1].out.len);
    for (size_t i = 0; i < COUNT(t); i++)
        taker_done(&t[i]);
    box_free(b);
}

/* Reads for a moment, pauses for longer than most would bear, and still gets every byte. */
static void test_slow_client_gets_everything(void **state)
{
    box *b = box_new(NULL);
    taker t;

    (void)state;
    b->spec.log.driver = "none";
    box_config(b, "\"sh\",\"-c\",\"yes 0123456789 | head -c 8000000\"", false, "");
    box_spawn(b);
    taker_attach(&t, b, "", ATTACH_STDOUT);
    attach_pause(t.a, true);
    box_run(b);
    for (int i = 0; i < 12 && !t.ended; i++) {
        pass_time(800);
        attach_pause(t.a, false);
        pass_time(2);
        attach_pause(t.a, true);
    }
    attach_pause(t.a, false);
    assert_true(wait_for(&t.ended, WAIT_MS));
    assert_null(t.why);
    assert_int_equal(t.out.len, 8000000);
    taker_done(&t);
    box_free(b);
}

/* A process that outlives the init holds the pipe: output ends at most 2 s after the exit. */
static void test_held_pipe_ends_in_time(void **state)
{
    box *b = box_new(NULL);
    auto_free char *config = xasprintf("%s/config.json", b->bundle);
    auto_free char *text = NULL;
    taker t;
    int64_t begin;
    char *pid_ns;

    (void)state;
    box_config(b, "\"sh\",\"-c\",\"echo first; (sleep 5; echo late) & exit 0\"", false, "");
    text = read_text(config);
    pid_ns = strstr(text, "{\"type\":\"pid\"},");
    assert_non_null(pid_ns);
    memset(pid_ns, ' ', strlen("{\"type\":\"pid\"},"));
    write_text(config, text);
    box_spawn(b);
    taker_attach(&t, b, "", ATTACH_STDOUT);
    box_run(b);
    begin = time_mono_ns();
    assert_true(wait_for(&t.ended, WAIT_MS));
    assert_in_range((time_mono_ns() - begin) / 1000000, 1500, 3000);
    assert_true(wait_for(&b->ended, 500));
    assert_string_equal(t.out.data, "first\n");
    taker_done(&t);
    box_free(b);
}

/* The log up to the position, then the output: every byte once, in the middle of a line too. */
typedef struct joiner {
    taker t;
    int64_t size;
    uint64_t inode;
    bool told;
} joiner;

static void on_joiner_position(void *arg, int64_t size, uint64_t inode)
{
    joiner *j = arg;

    assert_int_equal(j->t.out.len, 0);
    j->size = size;
    j->inode = inode;
    j->told = true;
}

static const attach_events joiner_events = {on_taker_output, on_taker_end, on_taker_drain,
                                            on_joiner_position};

static void test_log_and_output_join(void **state)
{
    box *b = box_new(NULL);
    joiner j = {0};
    auto_free char *log = NULL;
    taker in;
    struct stat st;

    (void)state;
    b->spec.open_stdin = true;
    box_config(b, "\"sh\",\"-c\",\"echo one; echo -n tw; read x; echo o; echo three\"", false, "");
    box_spawn(b);
    taker_attach(&in, b, "", ATTACH_STDIN);
    box_run(b);
    pass_time(300);
    j.t.a = monitor_attach(b->m, "", ATTACH_STDOUT | ATTACH_REPLAY, &joiner_events, &j);
    assert_true(wait_for(&j.told, WAIT_MS));
    log = read_text(b->log_path);
    assert_int_equal(j.size, strlen(log));
    assert_non_null(strstr(log, "{\"log\":\"one\\n\""));
    assert_null(strstr(log, "tw"));
    assert_int_equal(stat(b->log_path, &st), 0);
    assert_int_equal(j.inode, st.st_ino);
    assert_true(attach_stdin(in.a, "\n", 1));
    assert_true(wait_for(&j.t.ended, WAIT_MS));
    assert_string_equal(j.t.out.data, "two\nthree\n");
    assert_true(wait_for(&b->ended, WAIT_MS));
    taker_done(&in);
    taker_done(&j.t);
    box_free(b);
}

static void test_attach_after_the_end(void **state)
{
    box *b = box_new(NULL);
    taker t;

    (void)state;
    box_go(b, "\"true\"");
    taker_attach(&t, b, "", ATTACH_STDOUT);
    assert_true(wait_for(&t.ended, WAIT_MS));
    assert_int_equal(t.out.len, 0);
    taker_done(&t);
    box_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        box_test(test_stdin_round_trip),
        box_test(test_stdin_stays_open_without_once),
        box_test(test_stdin_once_ends_with_client),
        box_test(test_tty_and_resize),
        box_test(test_stalled_client_is_dropped),
        box_test(test_slow_client_gets_everything),
        box_test(test_held_pipe_ends_in_time),
        box_test(test_attach_after_the_end),
        box_test(test_log_and_output_join),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
