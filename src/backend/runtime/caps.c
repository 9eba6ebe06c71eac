/* caps.c - capabilities by name, and which of them a container gets.  Any thread after caps_init.
 */
#include "caps.h"
#include <berth/mem.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>

static const char *const names[] = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};
static const char *const defaults[] = {
    "CHOWN",  "DAC_OVERRIDE", "FSETID",  "FOWNER",           "MKNOD",      "NET_RAW", "SETGID",
    "SETUID", "SETFCAP",      "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL",    "AUDIT_WRITE",
};

static cap_set mine;

const char *cap_name(unsigned n)
{
    return n < COUNT(names) ? names[n] : NULL;
}

bool cap_parse(const char *text, unsigned *ret_n)
{
    if (strncasecmp(text, "CAP_", 4) == 0)
        text += 4;
    for (unsigned n = 0; n < COUNT(names); n++) {
        if (strcasecmp(names[n] + 4, text) == 0) {
            *ret_n = n;
            return true;
        }
    }
    return false;
}

void caps_init(void)
{
    mine = 0;
    for (unsigned n = 0; n < COUNT(names); n++)
        if (prctl(PR_CAPBSET_READ, n, 0, 0, 0) == 1)
            mine |= 1ULL << n;
}

cap_set caps_of_daemon(void)
{
    return mine;
}

static cap_set all_known(void)
{
    return (1ULL << COUNT(names)) - 1;
}

static cap_set default_set(void)
{
    cap_set set = 0;
    unsigned n;

    for (size_t i = 0; i < COUNT(defaults); i++)
        if (cap_parse(defaults[i], &n))
            set |= 1ULL << n;
    return set;
}

static err *set_of(const char *field, const json_strs *list, cap_set *ret_set, bool *ret_all)
{
    unsigned n;

    *ret_set = 0;
    *ret_all = false;
    for (size_t i = 0; i < list->n; i++) {
        if (strcasecmp(list->v[i], "ALL") == 0)
            *ret_all = true;
        else if (cap_parse(list->v[i], &n))
            *ret_set |= 1ULL << n;
        else
            return err_new(ERR_INVALID, "invalid %s: unknown capability: \"%s%s\"", field,
                           strncasecmp(list->v[i], "CAP_", 4) == 0 ? "" : "CAP_", list->v[i]);
    }
    return NULL;
}

static void warn_missing(cap_set missing, strv *warnings)
{
    for (unsigned n = 0; warnings && n < COUNT(names); n++)
        if (missing >> n & 1)
            strv_pushf(warnings, "Capability %s was left out: the daemon itself does not have it.",
                       names[n]);
}

/* dockerd's order: all of ALL, without what is dropped, with what is added. */
err *caps_for(const host_config *h, bool privileged, strv *warnings, cap_set *ret_caps)
{
    cap_set add, drop, set, asked;
    bool add_all, drop_all;

    TRY(set_of("CapAdd", &h->cap_add, &add, &add_all));
    TRY(set_of("CapDrop", &h->cap_drop, &drop, &drop_all));
    if (privileged)
        asked = set = all_known();
    else if (add_all)
        asked = set = all_known() & ~drop;
    else if (drop_all)
        asked = set = add;
    else {
        set = (default_set() & ~drop) | add;
        asked = add; /* a default that is missing is the host's affair, an asked one the caller's */
    }
    warn_missing(asked & ~mine, warnings);
    *ret_caps = set & mine;
    return NULL;
}
