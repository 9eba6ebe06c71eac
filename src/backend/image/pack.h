/* pack.h - writing a tree as a tar, one member after the other, to a descriptor. */
#ifndef BERTH_IMAGE_PACK_H
#define BERTH_IMAGE_PACK_H

#include <berth/err.h>
#include <berth/str.h>
#include <stdbool.h>

typedef struct packer packer;

packer *packer_new(int out_fd);
/* The entry name in the directory dir, and all below it, as "as" ("" and "/": children get names
 * with a slash before them).  Sockets are left out; file systems of the kernel's are not entered.
 */
must_check err *packer_add(packer *p, int dir, const char *name, const char *as);
/* The content of the directory dir, with relative names. */
must_check err *packer_add_content(packer *p, int dir);
/* The same of an overlay's upper directory as a layer: what it hides as whiteouts; opaques: the
 * directories that hide all that is below them, relative. */
must_check err *packer_add_layer(packer *p, int dir, const strv *opaques);
must_check err *packer_finish(packer *p); /* the end of the archive; everything is written */
void packer_free(packer *p);

/* proc, sysfs, cgroups and their like: not files of anybody's. */
bool is_kernel_fs(int fd);

#endif
