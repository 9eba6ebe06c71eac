/* replay.c - runs a fuzz target over the files of a folder: the corpus as an ordinary test. */
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { FILE_MAX = 1 << 20 };

static void replay(const char *path)
{
    static uint8_t data[FILE_MAX];
    FILE *f = fopen(path, "rb");
    size_t n;

    if (!f)
        exit(1);
    n = fread(data, 1, sizeof(data), f);
    fclose(f);
    LLVMFuzzerTestOneInput(data, n);
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    DIR *d = argc == 2 ? opendir(argv[1]) : NULL;
    struct dirent *ent;
    char path[4096];

    while (d && (ent = readdir(d))) {
        if (ent->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", argv[1], ent->d_name);
        replay(path);
        count++;
    }
    if (d)
        closedir(d);
    printf("%u files replayed\n", count);
    return count ? 0 : 1; /* a corpus that is not there is no corpus */
}
