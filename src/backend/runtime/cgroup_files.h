/* cgroup_files.h - the files of a control group, for those who read figures from them. */
#ifndef BERTH_RUNTIME_CGROUP_FILES_H
#define BERTH_RUNTIME_CGROUP_FILES_H

#include <stdbool.h>

bool cgroup_is_v2(void);
/* The directory of the group, of a v1 controller ("memory"); caller frees. */
char *cgroup_dir(const char *path, const char *controller);
/* The whole file, at most 1 MiB of it; NULL when it cannot be read; caller frees. */
char *cgroup_read(const char *dir, const char *file);

#endif
