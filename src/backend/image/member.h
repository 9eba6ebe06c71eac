/* member.h - an entry of an archive, as libarchive read it, for the applier. */
#ifndef BERTH_IMAGE_MEMBER_H
#define BERTH_IMAGE_MEMBER_H

#include "apply.h"
#include <archive.h>
#include <archive_entry.h>

/* What the formats and the reading of names are, for every archive here: tar and nothing else,
 * names are bytes. */
void member_formats(struct archive *a);
/* Valid until the next entry is read.  ERR_INVALID when it has no name. */
must_check err *member_of(struct archive *a, struct archive_entry *e, tar_member *ret);

#endif
