/* recover.c - what makes images outlive the store.
 *
 * Beside the store there are the configurations (blobs/sha256/), layer.json in each layer's
 * directory and one file of all names.  When the database was lost they give back every image whose
 * layers are whole; at an ordinary start the files nobody owns go.  Loop thread only, except job_*;
 * images_recover and blobs_sweep block, at start. */
#include "private.h"
#include <berth/job.h>
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/reference.h>
#include <berth/tree.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAMES_FILE(F, T) F(T, MAP, names, "Names", EMPTY_LIST)
JSON_DECLARE(names_file, NAMES_FILE)
JSON_DEFINE(names_file, NAMES_FILE)

enum { NAMES_MAX = 64 << 20 };

typedef struct names_write {
    char *path, *text;
    size_t n;
} names_write;

static bool names_dirty, names_writing;

/* ---- the file of names ---- */

static char *names_path(void)
{
    return xasprintf("%s/names.json", images_root);
}

static err *job_write_names(void *arg)
{
    const names_write *w = arg;

    return file_write(w->path, w->text, w->n, 0600);
}

static void write_names(void);

static void on_names_written(void *arg, err *e)
{
    names_write *w = arg;

    err_log(e, "the names of images could not be kept beside the store");
    free(w->path);
    free(w->text);
    free(w);
    names_writing = false;
    if (names_dirty && images_root)
        write_names();
}

static void write_names(void)
{
    names_write *w = new0(names_write);
    auto_arena *a = arena_new();
    auto_buf text = {0};
    names_file file = {0};

    for (const image *img = images_all; img; img = img->hh.next)
        for (size_t i = 0; i < img->tags.n; i++)
            json_map_set(&file.names, a, img->tags.v[i], img->id);
    for (const image *img = images_all; img; img = img->hh.next)
        for (size_t i = 0; i < img->digests.n; i++)
            json_map_set(&file.names, a, img->digests.v[i], img->id);
    json_encode(&names_file_json, &file, JSON_ANY_VERSION, &text);
    w->path = names_path();
    w->n = text.len;
    w->text = buf_take(&text);
    names_dirty = false;
    names_writing = true;
    job_begin("image.write-names", job_write_names, w, on_names_written);
}

void names_changed(void)
{
    names_dirty = true;
    if (!names_writing)
        write_names();
}

/* ---- what is left without the store ---- */

static err *read_file(const char *path, size_t max, char **ret_text)
{
    auto_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    auto_buf text = {0};
    char block[16384];
    ssize_t n;

    if (fd < 0)
        return err_errno(errno, "open %s", path);
    while ((n = read(fd, block, sizeof(block))) > 0) {
        buf_add(&text, block, (size_t)n);
        if (text.len > max)
            return err_new(ERR_INVALID, "%s is too large", path);
    }
    if (n < 0)
        return err_errno(errno, "read %s", path);
    *ret_text = buf_take(&text);
    return NULL;
}

static err *recover_image(const char *id, store_batch *b)
{
    auto_free char *path = blob_path(id), *text = NULL;
    char digest[72];
    image *img = NULL;

    TRY(read_file(path, IMAGE_CONFIG_MAX, &text));
    digest_of(text, strlen(text), digest);
    if (!str_eq(digest, id))
        return err_new(ERR_INVALID, "%s does not have its digest", path);
    TRY(image_make(id, text, &img));
    image_enter(img);
    image_put(img, b);
    return NULL;
}

static err *recover_names(store_batch *b)
{
    auto_free char *path = names_path(), *text = NULL;
    auto_arena *a = arena_new();
    names_file file = {0};

    TRY(read_file(path, NAMES_MAX, &text));
    TRY(json_decode(&names_file_json, text, strlen(text), JSON_ANY_VERSION, a, &file));
    for (size_t i = 0; i < file.names.n; i++) {
        image *img = image_by_id(file.names.values[i]);

        if (img)
            image_name(img, file.names.keys[i], b);
    }
    return NULL;
}

static DIR *open_blobs(char **ret_path)
{
    *ret_path = xasprintf("%s/blobs/sha256", images_root);
    return opendir(*ret_path);
}

void images_recover(store_batch *b)
{
    auto_free char *path = NULL;
    auto_closedir DIR *d = open_blobs(&path);
    struct dirent *ent;

    while (d && (ent = readdir(d))) {
        auto_free char *id = xasprintf("sha256:%s", ent->d_name);

        if (digest_is_valid(id) && !image_by_id(id))
            err_log(recover_image(id, b), "an image could not be recovered");
    }
    err_log(recover_names(b), "the names of images could not be recovered");
    log_warn("images recovered from their files", "images", HASH_COUNT(images_all));
}

/* A configuration without an image would bring a removed image back when the store is lost. */
void blobs_sweep(void)
{
    auto_free char *path = NULL;
    auto_closedir DIR *d = open_blobs(&path);
    struct dirent *ent;

    while (d && (ent = readdir(d))) {
        auto_free char *id = xasprintf("sha256:%s", ent->d_name);

        if (ent->d_name[0] != '.' && !image_by_id(id) && unlinkat(dirfd(d), ent->d_name, 0) < 0)
            log_warn("a left configuration could not be removed", "name", ent->d_name, "errno",
                     errno);
    }
}
