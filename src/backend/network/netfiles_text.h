/* netfiles_text.h - what resolv.c and hosts.c share: a host's file as text, and what may stand in
 * one. */
#ifndef BERTH_NETWORK_NETFILES_TEXT_H
#define BERTH_NETWORK_NETFILES_TEXT_H

#include <berth/err.h>
#include <stdbool.h>

enum { NETFILE_MAX = 1024 * 1024 };

/* At most NETFILE_MAX bytes of a regular file, "" when there is none; bytes after a NUL are lost.
 */
must_check err *netfile_read(const char *path, char **ret_text);
/* The same, where the host's text only names systemd-resolved's stub its list of real servers. */
must_check err *netfile_read_resolv(const char *path, const char *resolved_path, char **ret_text);
/* 1 to 255 bytes, none a blank or a control character: it cannot end its field, much less its line.
 */
bool is_one_word(const char *s);
bool is_ip(const char *s);

#endif
