/* hostile_test.c - archives that want out, or want too much; beside the directory stands a canary.
 */
#include "tar_rig.h"

enum { ENTRIES = 6 };
typedef enum fate { REFUSED, CONTAINED } fate;

typedef struct attack {
    const char *what;
    tent entries[ENTRIES];
    fate fate;
    const char *left; /* below dest when contained */
} attack;

#define FILE_OF(n)                                \
    {                                             \
        .name = (n), .data = "evil", .mode = 0666 \
    }
#define LINK_TO(n, t)                         \
    {                                         \
        .name = (n), .link = (t), .type = '2' \
    }
#define HARD_TO(n, t)                         \
    {                                         \
        .name = (n), .link = (t), .type = '1' \
    }
#define DIR_OF(n)                              \
    {                                          \
        .name = (n), .type = '5', .mode = 0777 \
    }

static const attack attacks[] = {
    {"parent", {FILE_OF("../canary/secret")}, REFUSED},
    {"absolute parent", {FILE_OF("/../canary/secret")}, REFUSED},
    {"parent later", {FILE_OF("a/../../canary/secret")}, REFUSED},
    {"sibling with the same prefix", {FILE_OF("../dest-evil/x")}, REFUSED},
    {"absolute path", {FILE_OF("/canary/secret")}, CONTAINED, "canary/secret"},
    {"hard link out", {HARD_TO("h", "../canary/secret"), FILE_OF("h")}, REFUSED},
    {"absolute hard link", {HARD_TO("h", "/../canary/secret"), FILE_OF("h")}, REFUSED},
    {"hard link to a directory", {DIR_OF("d"), HARD_TO("h", "d"), FILE_OF("h/x")}, REFUSED},
    {"hard link to nothing", {HARD_TO("h", "canary/secret")}, REFUSED},
    {"hard link to the root", {HARD_TO("h", "/")}, REFUSED},
    {"file through a link that does not lead to a directory",
     {LINK_TO("l", "../canary"), FILE_OF("l/secret")},
     REFUSED},
    {"directory through it", {LINK_TO("l", "../canary"), DIR_OF("l/dir")}, REFUSED},
    {"over a link", {LINK_TO("l", "../canary/secret"), FILE_OF("l")}, CONTAINED, "l"},
    {"directory over a link",
     {LINK_TO("l", "../canary"), DIR_OF("l"), FILE_OF("l/secret")},
     CONTAINED,
     "l/secret"},
    {"link, hard link to it, file over that",
     {LINK_TO("l", "../canary/secret"), HARD_TO("h", "l"), FILE_OF("h")},
     CONTAINED,
     "h"},
    {"hard link through a link", {LINK_TO("l", "../canary"), HARD_TO("h", "l/secret")}, REFUSED},
    {"links of links",
     {LINK_TO("a", ".."), LINK_TO("b", "a/canary"), FILE_OF("b/secret")},
     REFUSED},
    {"link to the root and up", {LINK_TO("a", "/"), FILE_OF("a/x")}, CONTAINED, "x"},
    {"links above the root stay at it",
     {LINK_TO("a", "../../../.."), FILE_OF("a/y")},
     CONTAINED,
     "y"},
    {"magic link", {LINK_TO("l", "/proc/self/root"), FILE_OF("l/x")}, REFUSED},
    {"a loop", {LINK_TO("a", "b"), LINK_TO("b", "a"), FILE_OF("a/x")}, REFUSED},
    {"dot is a link", {LINK_TO(".", "../canary"), FILE_OF("secret")}, REFUSED},
    {"dot slash is a link", {LINK_TO("./", "../canary"), FILE_OF("secret")}, REFUSED},
    {"slash is a link", {LINK_TO("/", "../canary"), FILE_OF("secret")}, REFUSED},
    {"dot is a file", {FILE_OF(".")}, REFUSED},
    {"dot is a hard link", {FILE_OF("f"), HARD_TO(".", "f")}, REFUSED},
    {"mode of a link is its own",
     {LINK_TO("l", "../canary/secret"), {.name = "l", .type = '5', .mode = 0777}},
     CONTAINED,
     "l"},
    {"file, link, child",
     {FILE_OF("a"), DIR_OF("b"), LINK_TO("a", "b"), FILE_OF("a/c")},
     CONTAINED,
     "b/c"},
    {"child of a file", {FILE_OF("a"), FILE_OF("a/c")}, REFUSED},
    {"directory, file, directory",
     {DIR_OF("a"), FILE_OF("a/x"), FILE_OF("a"), DIR_OF("a"), FILE_OF("a/y")},
     CONTAINED,
     "a/y"},
    {"a good link inside",
     {DIR_OF("etc"), LINK_TO("l", "/etc"), FILE_OF("l/x")},
     CONTAINED,
     "etc/x"},
    {"device out of range", {{.name = "n", .type = '3', .major = 1LL << 33, .minor = 3}}, REFUSED},
    {"minor out of range", {{.name = "n", .type = '4', .major = 8, .minor = 1LL << 30}}, REFUSED},
    {"owner out of range", {{.name = "n", .data = "x", .uid = 1LL << 32, .mode = 04755}}, REFUSED},
    {"negative owner", {{.name = "n", .data = "x", .gid = -1, .mode = 04755}}, REFUSED},
    {"size 2^63-1",
     {{.name = "n", .size_field = "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"}},
     REFUSED},
    {"size -1",
     {{.name = "n", .size_field = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"}},
     REFUSED},
    {"size of 8 GiB that is not there", {{.name = "n", .size_field = "77777777777"}}, REFUSED},
    {"whiteout of the parent", {FILE_OF(".wh...")}, REFUSED},
    {"whiteout of itself", {FILE_OF(".wh..")}, REFUSED},
    {"whiteout of nothing", {FILE_OF(".wh.")}, REFUSED},
    {"whiteout with a child", {FILE_OF(".wh./x")}, REFUSED},
    {"whiteout with another child", {DIR_OF(".wh.a"), FILE_OF(".wh.a/x")}, REFUSED},
    {"aufs whiteout", {FILE_OF(".wh..wh.plnk")}, REFUSED},
    {"whiteout and up", {FILE_OF("a/.wh.a/../x")}, REFUSED},
    {"whiteout through a link", {LINK_TO("l", "../canary"), FILE_OF("l/.wh.secret")}, REFUSED},
    {"opaque through a link", {LINK_TO("l", "../canary"), FILE_OF("l/.wh..wh..opq")}, REFUSED},
};

static void build(const attack *k, buf *tar)
{
    for (size_t i = 0; i < ENTRIES && k->entries[i].name; i++)
        tar_add(tar, &k->entries[i]);
    tar_end(tar);
}

static void try_attack(const attack *k)
{
    auto_untarred u = {0};
    auto_buf tar = {0};
    struct stat st;
    scene s;

    scene_up(&s);
    build(k, &tar);
    untar("layer", &tar, s.dest, &u);
    if (u.signal || (u.status != 0) != (k->fate == REFUSED) ||
        (k->left && !dest_stat(&s, k->left, &st)))
        fail_msg("%s: status %d signal %d: %s", k->what, u.status, u.signal, u.said);
    if (k->fate == REFUSED) {
        assert_true(*u.said);
        assert_null(strstr(u.result, "end\n"));
    }
    scene_down(&s);
}

static void test_attacks(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(attacks); i++)
        try_attack(&attacks[i]);
}

/* Refused for what they are, before anything beside them is touched. */
static void test_whiteout_names(void **state)
{
    static const char *const names[] = {".wh.",        ".wh..",   ".wh...",
                                        "d/.wh...",    "d/.wh..", ".wh..wh.plnk",
                                        "d/.wh..wh.x", ".wh.d/x", ".wh./x"};

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        auto_buf tar = {0};
        auto_untarred u = {0};
        auto_free char *expected = xasprintf("invalid whiteout %s\n", names[i]), *kept = NULL;
        scene s;

        scene_up(&s);
        tar_add(&tar, &(tent){.name = "d/kept", .data = "kept"});
        tar_add(&tar, &(tent){.name = names[i]});
        tar_end(&tar);
        untar("layer", &tar, s.dest, &u);
        assert_string_equal(u.said, expected);
        kept = dest_read(&s, "d/kept");
        assert_string_equal(kept, "kept");
        scene_down(&s);
    }
}

/* What a load spools is plain files: nothing of the archive's owners, modes or devices. */
static void test_members(void **state)
{
    auto_buf tar = {0}, device = {0};
    auto_untarred u = {0}, v = {0};
    struct stat st;
    scene s;

    (void)state;
    scene_up(&s);
    tar_add(&tar, &(tent){.name = "f", .data = "x", .mode = 04777, .uid = 7});
    tar_add(&tar, &(tent){.name = ".wh.f", .data = "y"});
    tar_end(&tar);
    untar("members", &tar, s.dest, &u);
    assert_int_equal(u.status, 0);
    assert_true(dest_stat(&s, "f", &st) && st.st_uid == 0 && (st.st_mode & 07777) == 0600);
    assert_true(dest_stat(&s, ".wh.f", &st) && S_ISREG(st.st_mode));
    tar_add(&device, &(tent){.name = "n", .type = '3', .major = 1, .minor = 3});
    tar_end(&device);
    untar("members", &device, s.dest, &v);
    assert_int_not_equal(v.status, 0);
    scene_down(&s);
}

/* ---- cut off anywhere ---- */

static void sample(buf *tar)
{
    static const char long_name[] =
        "a-directory-of-a-long-name/with-another-one/and-a-file-that-has-a-long-name-too/x";
    char data[1500];

    memset(data, 'd', sizeof(data));
    tar_add(tar, &(tent){.name = "dir", .type = '5'});
    tar_bytes(tar, &(tent){.name = "dir/file"}, data, sizeof(data));
    tar_pax(tar, "path", long_name, strlen(long_name));
    tar_pax(tar, "SCHILY.xattr.user.note", "kept", 4);
    tar_add(tar, &(tent){.name = "short", .data = "content"});
    tar_add(tar, &(tent){.name = "link", .link = "dir/file", .type = '1'});
    tar_end(tar);
}

/* Whole but for a piece at the end: refused, or as much as was there; never a crash, never a hang.
 */
static void cut_everywhere(const buf *whole, size_t step, size_t *ret_refused)
{
    for (size_t n = step; n < whole->len; n += step) {
        buf piece = {.data = whole->data, .len = n};
        auto_untarred u = {0};
        scene s;

        scene_up(&s);
        untar("layer", &piece, s.dest, &u);
        if (u.signal || (u.status != 0 && u.status != 1) ||
            (u.status == 1) != (strstr(u.result, "end\n") == NULL))
            fail_msg("cut at %zu: status %d signal %d: %s", n, u.status, u.signal, u.said);
        *ret_refused += u.status == 1;
        scene_down(&s);
    }
}

static void test_truncated(void **state)
{
    auto_buf tar = {0};
    size_t refused = 0;

    (void)state;
    sample(&tar);
    cut_everywhere(&tar, TAR_BLOCK, &refused);
    assert_true(refused >= 6); /* inside data and between a pax header and its member */
}

static void test_truncated_compressed(void **state)
{
    static const char *const filters[] = {"gzip", "zstd", "xz", "bzip2"};

    (void)state;
    for (size_t i = 0; i < COUNT(filters); i++) {
        auto_buf tar = {0};
        size_t refused = 0, step;

        sample(&tar);
        tar_compress(&tar, filters[i]);
        step = tar.len / 12;
        cut_everywhere(&tar, step, &refused);
        assert_true(refused >= 10);
    }
}

/* ---- not a tar at all ---- */

static void write_other(const char *format, buf *out)
{
    struct archive *a = archive_write_new();
    struct archive_entry *e = archive_entry_new();

    assert_int_equal(archive_write_set_format_by_name(a, format), ARCHIVE_OK);
    assert_int_equal(archive_write_open(a, out, NULL, tar_write_buf, NULL), ARCHIVE_OK);
    archive_entry_set_pathname(e, "file");
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_size(e, 4);
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    archive_write_data(a, "data", 4);
    archive_entry_free(e);
    archive_write_close(a);
    archive_write_free(a);
}

static void test_other_formats(void **state)
{
    static const char *const formats[] = {"zip",   "7zip", "cpio",  "newc", "iso9660",
                                          "arbsd", "xar",  "mtree", "shar", "warc"};

    (void)state;
    for (size_t i = 0; i < COUNT(formats); i++) {
        auto_buf bytes = {0};
        auto_untarred u = {0};
        scene s;

        scene_up(&s);
        write_other(formats[i], &bytes);
        assert_true(bytes.len > 0);
        untar("layer", &bytes, s.dest, &u);
        if (u.status != 1 || !str_starts(u.said, "not a tar archive"))
            fail_msg("%s: status %d: %s", formats[i], u.status, u.said);
        scene_down(&s);
    }
}

static void test_filter_levels(void **state)
{
    (void)state;
    for (unsigned levels = 1; levels <= 4; levels++) {
        auto_buf tar = {0};
        auto_untarred u = {0};
        scene s;

        scene_up(&s);
        sample(&tar);
        for (unsigned i = 0; i < levels; i++)
            tar_compress(&tar, "gzip");
        untar("layer", &tar, s.dest, &u);
        if ((u.status == 0) != (levels <= 2))
            fail_msg("%u levels: status %d: %s", levels, u.status, u.said);
        scene_down(&s);
    }
}

/* ---- too much of something ---- */

#ifdef __SANITIZE_ADDRESS__
enum { CPU_MAX_S = 20 };
#else
enum { CPU_MAX_S = 5 };
#endif

static void expect_quick(const buf *tar, int status)
{
    auto_untarred u = {0};
    scene s;

    scene_up(&s);
    untar("layer", tar, s.dest, &u);
    if (u.signal || u.status != status || u.cpu_s > CPU_MAX_S)
        fail_msg("status %d signal %d after %.2f s: %s", u.status, u.signal, u.cpu_s, u.said);
    scene_down(&s);
}

/* The C library would look for its character sets by absolute paths, which are those of the tree
 * once that is the root: code of a container could be loaded.  Here fifos stand there already, and
 * whoever opens one waits for ever. */
static void test_nothing_is_loaded(void **state)
{
    static const char *const dirs[] = {"usr/lib/x86_64-linux-gnu/gconv",
                                       "usr/lib/aarch64-linux-gnu/gconv", "usr/lib/gconv",
                                       "usr/lib64/gconv"};
    static const char *const files[] = {"gconv-modules.cache", "gconv-modules"};
    auto_buf tar = {0};
    auto_untarred u = {0};
    struct stat st;
    scene s;

    (void)state;
    scene_up(&s);
    for (size_t i = 0; i < COUNT(dirs) * COUNT(files); i++) {
        auto_free char *dir = xasprintf("%s/%s", s.dest, dirs[i / COUNT(files)]);
        auto_free char *fifo = xasprintf("%s/%s", dir, files[i % COUNT(files)]);

        assert_null(tree_make(dir, 0755));
        assert_int_equal(mkfifo(fifo, 0600), 0);
    }
    tar_pax(&tar, "path", "\xc3\xa4", 2); /* of a character set */
    tar_add(&tar, &(tent){.name = "x"});
    tar_end(&tar);
    untar("plain", &tar, s.dest, &u);
    assert_int_equal(u.status, 0);
    assert_true(dest_stat(&s, "\xc3\xa4", &st));
    scene_down(&s);
}

static void test_many_opaques(void **state)
{
    auto_buf tar = {0};

    (void)state;
    for (unsigned i = 0; i < 2000; i++) {
        auto_free char *name = xasprintf("d/%u", i);

        tar_add(&tar, &(tent){.name = name});
    }
    for (unsigned i = 0; i < 100000; i++)
        tar_add(&tar, &(tent){.name = "d/.wh..wh..opq"});
    tar_end(&tar);
    expect_quick(&tar, 0);
}

/* n directories one in the other, then a file. */
static void deep_name(buf *path, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        buf_str(path, "a/");
    buf_str(path, "f");
}

/* Links make a tree far deeper than any name: 5,000 levels, which can be removed again. */
static void test_deep_paths(void **state)
{
    auto_buf tar = {0}, path = {0};

    (void)state;
    deep_name(&path, 250);
    for (unsigned i = 0; i < 20; i++) {
        auto_free char *link = xasprintf("l%u", i),
                       *before = i ? xasprintf("l%u/", i - 1) : xstrdup("");
        auto_free char *full = xasprintf("%s%s", before, path.data),
                       *target = xstrndup(full, strlen(full) - 2);

        tar_pax(&tar, "path", full, strlen(full));
        tar_add(&tar, &(tent){.name = "f"});
        tar_pax(&tar, "linkpath", target, strlen(target));
        tar_add(&tar, &(tent){.name = link, .link = "-", .type = '2'});
    }
    tar_end(&tar);
    expect_quick(&tar, 0);
}

static void test_too_deep(void **state)
{
    auto_buf path = {0}, tar = {0}, longer = {0}, too_long = {0};

    (void)state;
    deep_name(&path, 256);
    tar_pax(&tar, "path", path.data, path.len);
    tar_add(&tar, &(tent){.name = "f"});
    tar_end(&tar);
    expect_quick(&tar, 1);
    for (unsigned i = 0; i < 50; i++)
        buf_printf(&longer, "%0100u/", i);
    tar_pax(&too_long, "path", longer.data, longer.len);
    tar_add(&too_long, &(tent){.name = "f"});
    tar_end(&too_long);
    expect_quick(&too_long, 1);
}

static void test_sparse_maps(void **state)
{
    static const struct {
        const char *map, *size;
        int status;
    } maps[] = {
        {"2\n0\n512\n256\n512\n", "4096", 0}, /* overlapping and without data: reads as zeros */
        {"1\n9223372036854775807\n512\n", "4096", 1}, /* past every size */
        {"1\n18446744073709551615\n1\n", "4096", 1},  /* not a number of 63 bits */
        {"x\n", "4096", 1},
        {"1\n", "4096", 1}, /* no end */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(maps); i++) {
        auto_buf tar = {0}, map = {0};
        auto_untarred u = {0};
        struct stat st;
        scene s;

        scene_up(&s);
        buf_str(&map, maps[i].map);
        tar_pad(&map);
        tar_sparse(&tar, "s", maps[i].size, &map);
        tar_end(&tar);
        untar("layer", &tar, s.dest, &u);
        if (u.signal || u.status != maps[i].status)
            fail_msg("map %zu: status %d signal %d: %s", i, u.status, u.signal, u.said);
        assert_true(u.status || (dest_stat(&s, "s", &st) && st.st_size == 4096));
        scene_down(&s);
    }
}

static void test_million_holes(void **state)
{
    auto_buf tar = {0}, map = {0};

    (void)state;
    buf_str(&map, "1000000\n");
    for (unsigned i = 0; i < 1000000; i++)
        buf_printf(&map, "%u\n0\n", i * 2);
    tar_pad(&map);
    tar_sparse(&tar, "s", "2000000", &map);
    tar_end(&tar);
    {
        auto_untarred u = {0};
        scene s;

        scene_up(&s);
        untar("layer", &tar, s.dest, &u);
        assert_int_equal(u.signal, 0);
        assert_true(u.cpu_s < CPU_MAX_S);
        scene_down(&s);
    }
}

/* A pax record of 80 MB in 80 kB: refused before it is taken into memory. */
static void test_huge_pax(void **state)
{
    auto_buf tar = {0};
    auto_free char *value = xmalloc(80 << 20);

    (void)state;
    memset(value, 'x', 80 << 20);
    tar_pax(&tar, "SCHILY.xattr.user.big", value, 80 << 20);
    tar_add(&tar, &(tent){.name = "f", .data = "x"});
    tar_end(&tar);
    tar_compress(&tar, "gzip");
    expect_quick(&tar, 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_attacks),        cmocka_unit_test(test_members),
    cmocka_unit_test(test_whiteout_names), cmocka_unit_test(test_nothing_is_loaded),
    cmocka_unit_test(test_truncated),      cmocka_unit_test(test_truncated_compressed),
    cmocka_unit_test(test_other_formats),  cmocka_unit_test(test_filter_levels),
    cmocka_unit_test(test_many_opaques),   cmocka_unit_test(test_deep_paths),
    cmocka_unit_test(test_too_deep),       cmocka_unit_test(test_sparse_maps),
    cmocka_unit_test(test_million_holes),  cmocka_unit_test(test_huge_pax),
};

TAR_RIG_MAIN(tests)
