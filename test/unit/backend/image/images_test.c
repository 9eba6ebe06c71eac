/* images_test.c - images over a real store: import, load, names, removal, restart, a lost store, a
 * client that goes. */
#include "image_rig.h"
#include "private.h"
#include <berth/timefmt.h>

static const import_opts unnamed = {"", "", "", "", NULL};

static void layer_tar(buf *tar, const char *name, const char *data)
{
    tar_add(tar, &(tent){.name = name, .data = data});
    tar_end(tar);
}

static char *sum(const void *p, size_t n)
{
    char digest[72];

    digest_of(p, n, digest);
    return xstrdup(digest);
}

/* ---- archives of images ---- */

typedef struct saved {
    buf config, layers[3];
    unsigned n;
    char *id;
} saved;

/* An image of n layers, each with a file of its own. */
static void make_saved(saved *s, unsigned n, const char *salt)
{
    memset(s, 0, sizeof(*s));
    s->n = n;
    buf_str(&s->config, "{\"architecture\":\"amd64\",\"os\":\"linux\",\"created\":\"2026-01-02T03:"
                        "04:05Z\",\"config\":{\"Cmd\":[\"sh\"],"
                        "\"Labels\":{\"k\":\"v\"}},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[");
    for (unsigned i = 0; i < n; i++) {
        auto_free char *name = xasprintf("f%u", i), *digest = NULL;

        layer_tar(&s->layers[i], name, i == n - 1 ? salt : name);
        digest = sum(s->layers[i].data, s->layers[i].len);
        buf_printf(&s->config, "%s\"%s\"", i ? "," : "", digest);
    }
    buf_str(&s->config,
            "]},\"history\":[{\"created\":\"2026-01-02T03:04:05Z\",\"created_by\":\"ADD f\"},"
            "{\"created_by\":\"CMD sh\",\"empty_layer\":true}]}");
    s->id = sum(s->config.data, s->config.len);
}

static void saved_done(saved *s)
{
    buf_done(&s->config);
    for (unsigned i = 0; i < s->n; i++)
        buf_done(&s->layers[i]);
    free(s->id);
}
#define auto_saved __attribute__((cleanup(saved_done))) saved

/* docker save; manifest.json comes last, as it does there. */
static void docker_archive(const saved *s, const char *names, buf *tar)
{
    auto_buf manifest = {0};

    buf_printf(&manifest, "[{\"Config\":\"c.json\",\"RepoTags\":%s,\"Layers\":[", names);
    for (unsigned i = 0; i < s->n; i++) {
        auto_free char *name = xasprintf("%u/layer.tar", i);

        buf_printf(&manifest, "%s\"%s\"", i ? "," : "", name);
        tar_bytes(tar, &(tent){.name = name}, s->layers[i].data, s->layers[i].len);
    }
    buf_str(&manifest, "]}]");
    tar_bytes(tar, &(tent){.name = "c.json"}, s->config.data, s->config.len);
    tar_bytes(tar, &(tent){.name = "manifest.json"}, manifest.data, manifest.len);
    tar_end(tar);
}

static char *blob(buf *tar, const buf *bytes)
{
    char *digest = sum(bytes->data, bytes->len);
    auto_free char *name = xasprintf("blobs/sha256/%s", digest + 7);

    tar_bytes(tar, &(tent){.name = name}, bytes->data, bytes->len);
    return digest;
}

/* An OCI layout whose layers are compressed; index.json comes first. */
static void oci_archive(const saved *s, const char *name, buf *tar)
{
    auto_buf manifest = {0}, index = {0}, blobs = {0};
    auto_free char *config = blob(&blobs, &s->config), *digest = NULL;

    buf_printf(&manifest, "{\"schemaVersion\":2,\"config\":{\"digest\":\"%s\"},\"layers\":[",
               config);
    for (unsigned i = 0; i < s->n; i++) {
        auto_buf packed = {0};
        auto_free char *one_layer = NULL;

        buf_add(&packed, s->layers[i].data, s->layers[i].len);
        tar_compress(&packed, i % 2 ? "zstd" : "gzip");
        one_layer = blob(&blobs, &packed);
        buf_printf(&manifest, "%s{\"digest\":\"%s\"}", i ? "," : "", one_layer);
    }
    buf_str(&manifest, "]}");
    digest = blob(&blobs, &manifest);
    buf_printf(&index,
               "{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"sha256:%064d\",\"platform\":{"
               "\"architecture\":\"none\","
               "\"os\":\"unknown\"}},{\"digest\":\"%s\",\"annotations\":{\"io.containerd.image."
               "name\":\"%s\"}}]}",
               0, digest, name);
    tar_bytes(tar, &(tent){.name = "index.json"}, index.data, index.len);
    buf_add(tar, blobs.data, blobs.len);
    tar_end(tar);
}

/* ---- import ---- */

static void test_import(void **state)
{
    json_strs changes = {(char *[]){"CMD [\"sh\"]", "ENV A=b", "LABEL k=v"}, 3, true};
    import_opts o = {"docker.io/library/box", "", "note", "linux/arm64", &changes};
    auto_arena *a = arena_new();
    image_inspect seen = {0};
    auto_strv dirs = {0};
    auto_buf tar = {0};
    auto_took t = {0};
    auto_free char *digest = NULL, *path = NULL;

    (void)state;
    layer_tar(&tar, "etc/x", "hello");
    digest = sum(tar.data, tar.len);
    import_bytes(&tar, &o, &t);
    assert_null(t.e);
    assert_string_equal(t.id, image_id(must_find("box:latest")));
    image_inspected(must_find("box"), a, &seen);
    assert_string_equal(seen.rootfs.layers.v[0], digest);
    assert_string_equal(seen.config.cmd.v[0], "sh");
    assert_string_equal(seen.config.env.v[0], "A=b");
    assert_string_equal(seen.architecture, "arm64");
    assert_string_equal(seen.comment, "note");
    assert_int_equal(seen.size, 5);
    image_layer_dirs(must_find("box"), &dirs);
    path = xasprintf("%s/etc/x", dirs.v[0]);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(count_in("tmp"), 0);
}

static void test_import_refused(void **state)
{
    static const struct {
        import_opts o;
        const char *text;
    } bad[] = {
        {{"UPPER", "", "", "", NULL},
         "invalid reference format: repository name (library/UPPER) must be lowercase"},
        {{"a", "b c", "", "", NULL}, "invalid tag format"},
        {{"a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "", "", "",
          NULL},
         "cannot import digest reference"},
        {{"", "", "", "windows/amd64", NULL}, "operating system is not supported: windows/amd64"},
    };
    auto_buf garbage = {0}, cut = {0};
    auto_took t = {0}, u = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        image_intake *in = NULL;
        auto_err *e = image_import(&bad[i].o, &took_events, NULL, &in);

        assert_non_null(e);
        assert_int_equal(err_kind(e), ERR_INVALID);
        assert_string_equal(err_message(e), bad[i].text);
    }
    for (int i = 0; i < 300000; i++)
        buf_str(&garbage, "not a tar ");
    import_bytes(&garbage, &unnamed, &t);
    assert_int_equal(err_kind(t.e), ERR_INVALID);
    assert_true(str_starts(err_message(t.e), "not a tar archive"));
    tar_header(&cut, &(tent){.name = "f"}, 1 << 20);
    import_bytes(&cut, &unnamed, &u);
    assert_int_equal(err_kind(u.e), ERR_INVALID);
    assert_int_equal(images_count(), 0);
    assert_int_equal(count_in("tmp") + count_in("layers") + count_in("blobs/sha256"), 0);
}

/* More than the socket holds: the client is stopped, and all of it arrives. */
static void test_back_pressure(void **state)
{
    auto_free char *big = xcalloc(1, 24 << 20);
    auto_buf tar = {0};
    auto_took t = {0};

    (void)state;
    memset(big, 7, 24 << 20);
    tar_bytes(&tar, &(tent){.name = "big"}, big, 24 << 20);
    tar_end(&tar);
    import_bytes(&tar, &unnamed, &t);
    assert_null(t.e);
    assert_true(t.drains > 3);
    assert_non_null(must_find(t.id));
}

static void test_hang_up(void **state)
{
    (void)state;
    for (unsigned ms = 0; ms < 12; ms += 2) { /* at any moment of it */
        auto_buf tar = {0};
        auto_took t = {0};
        timer *tick;

        layer_tar(&tar, "f", "x");
        assert_null(ms % 4 ? image_load(&took_events, &t, &t.in)
                           : image_import(&unnamed, &took_events, &t, &t.in));
        intake_write(t.in, tar.data, 700);
        if (ms) {
            tick = timer_start("test.hang-up", ms, on_tick, NULL);
            loop_run();
            timer_stop(tick);
        }
        assert_false(t.ended);
        intake_cancel(t.in);
        settle();
        assert_false(t.ended);
        assert_int_equal(images_count(), 0);
        assert_int_equal(count_in("tmp") + count_in("layers"), 0);
    }
}

/* ---- load ---- */

static void test_load_docker(void **state)
{
    static const char *const packings[] = {NULL, "gzip", "zstd", "xz", "bzip2"};
    auto_saved s = {0};

    (void)state;
    make_saved(&s, 3, "x");
    for (size_t i = 0; i < COUNT(packings); i++) {
        auto_buf tar = {0};
        auto_took t = {0};
        auto_strv dirs = {0};

        docker_archive(&s, "[\"two:a\",\"docker.io/library/two:b\"]", &tar);
        if (packings[i])
            tar_compress(&tar, packings[i]);
        load_bytes(&tar, &t);
        if (t.e)
            fail_msg("%s", err_message(t.e));
        assert_string_equal(t.said.data, "Loaded image: two:a\nLoaded image: two:b\n");
        assert_string_equal(image_id(must_find("two:b")), s.id);
        image_layer_dirs(must_find(s.id), &dirs);
        assert_int_equal(dirs.n, 3);
        assert_int_equal(count_in("layers"), 3); /* the same ones each time */
        assert_int_equal(images_count(), 1);
        assert_int_equal(count_in("tmp"), 0);
    }
}

static void test_load_oci(void **state)
{
    auto_saved s = {0};
    auto_buf tar = {0}, unnamed_tar = {0};
    auto_took t = {0}, u = {0};
    auto_free char *line = NULL;

    (void)state;
    make_saved(&s, 3, "x");
    oci_archive(&s, "docker.io/library/oci:1", &tar);
    load_bytes(&tar, &t);
    if (t.e)
        fail_msg("%s", err_message(t.e));
    assert_string_equal(t.said.data, "Loaded image: oci:1\n");
    assert_string_equal(image_id(must_find("oci:1")), s.id);
    docker_archive(&s, "null", &unnamed_tar);
    load_bytes(&unnamed_tar, &u);
    assert_null(u.e);
    line = xasprintf("Loaded image ID: %s\n", s.id);
    assert_string_equal(u.said.data, line);
}

/* Two loads of the same image at once: one of each layer stays. */
static void test_load_twice_at_once(void **state)
{
    auto_saved s = {0};
    auto_buf tar = {0};
    auto_took t = {0}, u = {0};

    (void)state;
    make_saved(&s, 3, "x");
    docker_archive(&s, "[\"x:1\"]", &tar);
    assert_null(image_load(&took_events, &t, &t.in));
    assert_null(image_load(&took_events, &u, &u.in));
    feed(&t, &tar);
    feed(&u, &tar);
    run_until(took_ended, &t);
    run_until(took_ended, &u);
    assert_null(t.e);
    assert_null(u.e);
    settle();
    assert_int_equal(images_count(), 1);
    assert_int_equal(count_in("layers"), 3);
    assert_int_equal(count_in("tmp"), 0);
    restart();
    assert_string_equal(image_id(must_find("x:1")), s.id);
}

static void expect_load_error(const buf *tar, const char *text)
{
    auto_took t = {0};

    load_bytes(tar, &t);
    if (!t.e || err_kind(t.e) != ERR_INVALID || !strstr(err_message(t.e), text))
        fail_msg("expected \"%s\", got \"%s\"", text, err_message(t.e));
    settle();
    assert_int_equal(images_count(), 0);
    assert_int_equal(count_in("tmp") + count_in("layers"), 0);
    assert_int_equal(t.said.len, 0);
}

static void expect_manifest_error(const char *manifest, const char *config, const char *text)
{
    auto_buf tar = {0};

    tar_add(&tar, &(tent){.name = "manifest.json", .data = manifest});
    if (config)
        tar_add(&tar, &(tent){.name = "c.json", .data = config});
    tar_add(&tar, &(tent){.name = "passwd", .link = "/etc/passwd", .type = '2'});
    tar_end(&tar);
    expect_load_error(&tar, text);
}

static void test_load_refused(void **state)
{
    static const char *const ids[] = {
        "sha256:../../../../tmp/x",
        "md5:00",
        "",
        "sha256:e3b0",
        "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8550"};
    auto_buf none = {0}, other = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(ids); i++) {
        auto_free char *config = xasprintf("{\"rootfs\":{\"diff_ids\":[\"%s\"]}}", ids[i]);
        auto_free char *manifest = xasprintf("[{\"Config\":\"c.json\",\"Layers\":[\"l\"]}]");

        expect_manifest_error(manifest, config, "invalid diffID for layer 0");
    }
    expect_manifest_error("[{\"Config\":\"../../../etc/passwd\"}]", NULL, "no such file");
    expect_manifest_error("[{\"Config\":\"passwd\"}]", NULL,
                          "no such file"); /* of the archive, not of the host */
    expect_manifest_error("[{\"Config\":\".\"}]", NULL, "not a readable file of the archive");
    expect_manifest_error("[{\"Config\":\"c.json\",\"RepoTags\":[\"../x:y\"]}]", "{}",
                          "invalid tag");
    expect_manifest_error("[{\"Config\":\"c.json\",\"Layers\":[\"a\"]}]", "{}",
                          "layers length mismatch");
    expect_manifest_error("[{\"Config\":\"c.json\"}]", "{\"os\":\"windows\"}",
                          "cannot load windows image");
    expect_manifest_error("[]", NULL, "the archive holds no image");
    expect_manifest_error("{", NULL, "manifest.json");
    tar_add(&none, &(tent){.name = "repositories", .data = "{\"x\":{\"latest\":\"00\"}}"});
    tar_end(&none);
    expect_load_error(&none, "neither manifest.json nor index.json");
    tar_add(&other,
            &(tent){.name = "index.json",
                    .data = "{\"manifests\":[{\"digest\":\"sha256:../../../etc/passwd\"}]}"});
    tar_end(&other);
    expect_load_error(&other, "invalid digest");
}

static void test_load_wrong_digest(void **state)
{
    auto_saved s = {0};
    auto_buf tar = {0}, oci = {0};

    (void)state;
    make_saved(&s, 2, "x");
    s.layers[1].data[TAR_BLOCK] ^= 1; /* one bit of the content */
    docker_archive(&s, "[\"x:1\"]", &tar);
    expect_load_error(&tar, "invalid diffID for layer 1: expected");
    oci_archive(&s, "x", &oci);
    expect_load_error(&oci, "invalid diffID for layer 1: expected");
}

/* ---- names and removal ---- */

typedef struct removed {
    bool ended;
    err *e;
    buf list;
} removed;

static void on_removed_seen(void *arg, err *e, const json_list *list)
{
    removed *r = arg;

    r->ended = true;
    r->e = e;
    for (size_t i = 0; list && i < list->n; i++) {
        const image_deleted *d = JSON_AT(*list, image_deleted, i);

        buf_printf(&r->list, "%s%.14s ", d->deleted ? "-" : "~",
                   d->deleted ? d->deleted : d->untagged);
    }
}

static bool removed_ended(void *arg)
{
    return ((removed *)arg)->ended;
}

static void removed_done(removed *r)
{
    err_free(r->e);
    buf_done(&r->list);
}
#define auto_removed __attribute__((cleanup(removed_done))) removed

static void remove_it(const char *ref, bool force, removed *r)
{
    auto_arena *a = arena_new();

    memset(r, 0, sizeof(*r));
    image_remove(ref, force, false, a, on_removed_seen, r);
    run_until(removed_ended, r);
    settle();
}

static void on_tagged(void *arg, err *e)
{
    removed *r = arg;

    r->ended = true;
    r->e = e;
}

static void tag_it(const char *ref, const char *repo, const char *tag, removed *r)
{
    memset(r, 0, sizeof(*r));
    image_tag(must_find(ref), repo, tag, on_tagged, r);
    run_until(removed_ended, r);
}

static char *load_one(unsigned n, const char *names, const char *salt)
{
    auto_saved s = {0};
    auto_buf tar = {0};
    auto_took t = {0};

    make_saved(&s, n, salt);
    docker_archive(&s, names, &tar);
    load_bytes(&tar, &t);
    assert_null(t.e);
    return take(s.id);
}

static void test_names(void **state)
{
    auto_free char *id = load_one(1, "[\"a:1\"]", "x"), *other = load_one(2, "[\"b:1\"]", "y"),
                   *prefix = xstrndup(id + 7, 10);
    auto_free char *none = xasprintf("No such image: %s", "nosuch:latest");
    auto_removed r = {0}, bad = {0};

    (void)state;
    tag_it("a:1", "docker.io/library/c", "", &r);
    assert_null(r.e);
    assert_string_equal(image_id(must_find("c")), id);
    assert_string_equal(image_id(must_find("index.docker.io/library/c:latest")), id);
    assert_string_equal(image_id(must_find(prefix)), id);
    assert_string_equal(image_id(must_find(id)), id);
    removed_done(&r);
    tag_it("b:1", "c", "latest", &r); /* taken from the one that had it */
    assert_string_equal(image_id(must_find("c")), other);
    expect_missing("nosuch", none);
    expect_missing("sha256:../../etc/passwd", "No such image: sha256:../../etc/passwd");
    tag_it("a:1", "a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "",
           &bad);
    assert_string_equal(err_message(bad.e), "refusing to create a tag with a digest reference");
    restart();
    assert_string_equal(image_id(must_find("c")), other);
    assert_string_equal(image_id(must_find("a:1")), id);
}

static void test_remove(void **state)
{
    auto_free char *one = load_one(2, "[\"a:1\",\"a:2\"]", "x"),
                   *two = load_one(2, "[\"b:1\"]", "y");
    auto_removed r = {0};

    (void)state;
    assert_int_equal(count_in("layers"), 3); /* the lower one is shared */
    remove_it(one, false, &r);
    assert_int_equal(err_kind(r.e), ERR_CONFLICT);
    assert_non_null(strstr(err_message(r.e),
                           "(must be forced) - image is referenced in multiple repositories"));
    removed_done(&r);
    remove_it("a:1", false, &r);
    assert_null(r.e);
    assert_string_equal(r.list.data, "~a:1 ");
    removed_done(&r);
    remove_it("a:2", false, &r);
    assert_null(r.e);
    assert_true(str_starts(r.list.data, "~a:2 -sha256:")); /* the name, the image, its own layer */
    assert_int_equal(count_in("layers"), 2);
    assert_int_equal(count_in("blobs/sha256"), 1);
    removed_done(&r);
    remove_it(two, true, &r);
    assert_null(r.e);
    assert_int_equal(count_in("layers") + count_in("blobs/sha256") + images_count(), 0);
    restart();
    assert_int_equal(images_count(), 0);
}

static bool runs;

static bool is_running(const char *container_id)
{
    return runs && str_eq(container_id, "c0ffee00000000000000");
}

static void test_remove_in_use(void **state)
{
    auto_free char *id = load_one(1, "[\"a:1\"]", "x");
    auto_free char *named = xasprintf(
        "conflict: unable to remove repository reference \"a:1\" (must force) - container "
        "c0ffee000000 is using its referenced image %.12s",
        id + 7);
    auto_free char *stopped = xasprintf(
        "conflict: unable to delete %.12s (must be forced) - image is being used by stopped "
        "container c0ffee000000",
        id + 7);
    auto_free char *running = xasprintf(
        "conflict: unable to delete %.12s (cannot be forced) - image is being used by running "
        "container c0ffee000000",
        id + 7);
    image *img = image_ref(must_find("a:1"));
    auto_removed r = {0};

    (void)state;
    images_set_running_hook(is_running);
    image_hold(img, "c0ffee00000000000000");
    runs = false;
    remove_it("a:1", false, &r);
    assert_string_equal(err_message(r.e), named);
    removed_done(&r);
    remove_it(id, false, &r);
    assert_string_equal(err_message(r.e), stopped);
    removed_done(&r);
    runs = true;
    remove_it(id, true, &r);
    assert_string_equal(err_message(r.e), running);
    removed_done(&r);
    remove_it("a:1", true, &r); /* the name goes, what the container stands on stays */
    assert_null(r.e);
    assert_string_equal(r.list.data, "~a:1 ");
    assert_int_equal(count_in("layers"), 1);
    image_release(img, "c0ffee00000000000000");
    removed_done(&r);
    remove_it(id, false, &r);
    assert_null(r.e);
    assert_int_equal(count_in("layers"), 1); /* a request still holds it */
    image_unref(img);
    settle();
    assert_int_equal(count_in("layers"), 0);
    images_set_running_hook(NULL);
}

/* Removed and loaded again at once: the new one is whole. */
static void test_remove_and_load(void **state)
{
    auto_arena *a = arena_new();
    auto_removed r = {0};

    (void)state;
    for (int i = 0; i < 5; i++) {
        auto_free char *id = load_one(3, "[\"a:1\"]", "x"), *again = NULL, *file = NULL;
        auto_strv dirs = {0};

        removed_done(&r);
        memset(&r, 0, sizeof(r));
        image_remove(id, true, false, a, on_removed_seen, &r);
        again = load_one(3, "[\"a:1\"]", "x");
        settle();
        assert_true(r.ended);
        assert_string_equal(image_id(must_find("a:1")), again);
        image_layer_dirs(must_find("a:1"), &dirs);
        file = xasprintf("%s/f2", dirs.v[0]);
        assert_int_equal(access(file, F_OK), 0);
        assert_int_equal(count_in("layers"), 3);
    }
}

/* ---- after a crash ---- */

static void test_sweep(void **state)
{
    auto_free char *id = load_one(1, "[\"a:1\"]", "x"), *left = NULL, *staged = NULL,
                   *blob_left = NULL;

    (void)state;
    left = xasprintf(
        "%s/layers/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.0/fs/deep",
        rig.root);
    staged = xasprintf("%s/tmp/abc/members/x", rig.root);
    blob_left = xasprintf("%s/blobs/sha256/%064d", rig.root, 0);
    assert_null(tree_make(left, 0755));
    assert_null(tree_make(staged, 0755));
    assert_null(file_write(blob_left, "{}", 2, 0600));
    restart();
    settle();
    assert_int_equal(count_in("layers"), 1);
    assert_int_equal(count_in("tmp"), 0);
    assert_int_equal(count_in("blobs/sha256"), 1);
    assert_string_equal(image_id(must_find("a:1")), id);
}

static void test_lost_store(void **state)
{
    auto_free char *id = load_one(3, "[\"a:1\",\"b:2\"]", "x"),
                   *other = load_one(1, "[\"c:3\"]", "y");
    auto_free char *db = xasprintf("%s/state.db", rig.root), *gone = NULL;
    auto_removed r = {0};
    auto_strv dirs = {0};

    (void)state;
    remove_it("b:2", false, &r);
    close_all();
    assert_null(
        file_write(db, "this is no database, but long enough to be looked at as one", 59, 0600));
    open_all();
    settle();
    assert_int_equal(images_count(), 2);
    assert_string_equal(image_id(must_find("a:1")), id);
    assert_string_equal(image_id(must_find("c:3")), other);
    expect_missing("b:2", "No such image: b:2");
    restart(); /* and now the store knows it again */
    settle();
    assert_string_equal(image_id(must_find("a:1")), id);
    image_layer_dirs(must_find("a:1"), &dirs);
    assert_int_equal(dirs.n, 3);
    gone = xstrndup(dirs.v[0], strlen(dirs.v[0]) - 3);
    close_all();
    assert_null(tree_remove(
        gone)); /* a layer that is not there: that image is left out, the other is not */
    open_all();
    settle();
    expect_missing("a:1", "No such image: a:1");
    assert_string_equal(image_id(must_find("c:3")), other);
}

/* ---- the answers ---- */

static char *listed(const char *text, int version)
{
    static const char *const keys[] = {"before", "dangling", "label", "reference",
                                       "since",  "until",    NULL};
    auto_arena *a = arena_new();
    image_summary *list = NULL;
    filters *f = NULL;
    auto_buf out = {0};
    size_t n = 0;

    assert_null(filters_parse(text, keys, a, &f));
    assert_null(images_list(f, false, true, version, a, &list, &n));
    for (size_t i = 0; i < n; i++) {
        for (size_t t = 0; t < list[i].repo_tags.n; t++)
            buf_printf(&out, "%s ", list[i].repo_tags.v[t]);
        buf_str(&out, "; ");
    }
    return buf_take(&out);
}

static void test_list(void **state)
{
    static const struct {
        const char *filters;
        const char *expected;
    } cases[] = {
        {"{}", "a:1 a:2 ; "},
        {"{\"reference\":[\"a:2\"]}", "a:2 ; "},
        {"{\"reference\":[\"a\"]}", "a:1 a:2 ; "},
        {"{\"reference\":[\"b*\"]}", ""},
        {"{\"label\":[\"k=v\"]}", "a:1 a:2 ; "},
        {"{\"label\":[\"k=w\"]}", ""},
        {"{\"dangling\":[\"true\"]}", ""},
        {"{\"dangling\":[\"false\"]}", "a:1 a:2 ; "},
        {"{\"until\":[\"2026-01-02T03:04:05Z\"]}", ""},
        {"{\"until\":[\"2026-01-02T03:04:06Z\"]}", "a:1 a:2 ; "},
        {"{\"before\":[\"a:1\"]}", ""},
        {"{\"since\":[\"a:1\"]}", ""},
    };
    auto_free char *id = load_one(2, "[\"a:1\",\"a:2\"]", "x");
    auto_arena *a = arena_new();
    json_list history = {0};
    const image_history_item *items;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        auto_free char *got = listed(cases[i].filters, 51);

        if (!str_eq(got, cases[i].expected))
            fail_msg("%s: %s", cases[i].filters, got);
    }
    image_histories(must_find("a:1"), a, &history);
    items = history.v;
    assert_int_equal(history.n, 2);
    assert_string_equal(items[0].id, id);
    assert_int_equal(items[0].size, 0);
    assert_string_equal(items[0].created_by, "CMD sh");
    assert_int_equal(items[0].tags.n, 2);
    assert_string_equal(items[1].id, "<missing>");
    assert_int_equal(items[1].size, 2);
    assert_int_equal(items[1].created, 1767323045);
}

static void test_old_versions(void **state)
{
    auto_free char *id = load_one(1, "null", "x"), *none = NULL, *modern = NULL;
    auto_arena *a = arena_new();
    image_inspect seen = {0};
    auto_buf old = {0}, new = {0};

    (void)state;
    none = listed("{}", 42);
    modern = listed("{}", 43);
    assert_string_equal(none, "<none>:<none> ; ");
    assert_string_equal(modern, "; ");
    image_inspected(must_find(id), a, &seen);
    json_encode(&image_inspect_json, &seen, 43, &old);
    json_encode(&image_inspect_json, &seen, 51, &new);
    assert_non_null(strstr(old.data, "\"VirtualSize\":1"));
    assert_non_null(strstr(old.data, "\"ContainerConfig\":{"));
    assert_non_null(strstr(old.data, "\"Hostname\":\"\""));
    assert_null(strstr(new.data, "VirtualSize"));
    assert_null(strstr(new.data, "ContainerConfig"));
    assert_null(strstr(new.data, "Hostname"));
    assert_non_null(strstr(new.data, "\"Entrypoint\":null"));
}

static void on_event(void *arg, event *e)
{
    const char *name = json_map_get(event_attrs(e), "name"),
               *label = json_map_get(event_attrs(e), "k");

    buf_printf(arg, "%s %.10s%s ", event_action(e), name, label ? " labelled" : "");
}

static void test_events(void **state)
{
    auto_buf seen = {0}, tar = {0};
    event_sub *sub = event_subscribe(on_event, &seen);
    import_opts o = {"im", "", "", "", NULL};
    auto_removed r = {0};
    auto_took t = {0};
    auto_free char *id = NULL, *expected = NULL;

    (void)state;
    layer_tar(&tar, "f", "x");
    import_bytes(&tar, &o, &t);
    assert_null(t.e);
    id = load_one(1, "[\"a:1\"]", "x");
    tag_it("a:1", "b", "", &r);
    remove_it(id, true, &r);
    assert_null(r.e);
    expected = xasprintf("import im:latest tag im:latest load %.10s labelled tag b:latest labelled "
                         "untag %.10s labelled "
                         "untag %.10s labelled delete %.10s labelled ",
                         id, id, id, id);
    assert_string_equal(seen.data, expected);
    event_unsubscribe(sub);
}

static const struct CMUnitTest tests[] = {
    image_test(test_import),
    image_test(test_import_refused),
    image_test(test_back_pressure),
    image_test(test_hang_up),
    image_test(test_load_docker),
    image_test(test_load_oci),
    image_test(test_load_twice_at_once),
    image_test(test_load_refused),
    image_test(test_load_wrong_digest),
    image_test(test_names),
    image_test(test_remove),
    image_test(test_remove_in_use),
    image_test(test_remove_and_load),
    image_test(test_sweep),
    image_test(test_lost_store),
    image_test(test_list),
    image_test(test_old_versions),
    image_test(test_events),
};

TAR_RIG_MAIN(tests)
