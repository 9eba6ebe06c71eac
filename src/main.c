/* main.c - berthd: the helpers' dispatch, the configuration, the daemon. */
#include "daemon/boot.h"
#include <berth/archiver.h>
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/system.h>
#include <berth/untar.h>
#include <stdio.h>
#include <unistd.h>

static int refuse(err *e, bool usage)
{
    fprintf(stderr, "%s\n", err_message(e));
    if (usage)
        fprintf(stderr, "See 'berthd --help'.\n");
    err_free(e);
    return usage ? EXIT_USAGE : EXIT_CONFIG;
}

static int run(int argc, char **argv, config *c)
{
    bool usage = false;
    err *e = config_read(argc, argv, c, &usage);

    if (e)
        return refuse(e, usage);
    if (c->help) {
        config_print_help();
        return 0;
    }
    if (c->version) {
        printf("Berth version %s, Docker Engine API %d.%d\n", BERTH_VERSION, 1, API_MAX);
        return 0;
    }
    if (c->validate) {
        fprintf(stderr, "configuration OK\n");
        return 0;
    }
    if (geteuid() != 0) {
        fprintf(stderr, "berthd needs to be started with root privileges.\n");
        return EXIT_CONFIG;
    }
    return daemon_run(argc, argv, c);
}

int main(int argc, char **argv)
{
    int status = 0;
    config c;

    /* Before anything else is touched; nothing of them needs an orderly end. */
    if (untar_main(argc, argv, &status) || archiver_main(argc, argv, &status))
        _exit(status);
    status = run(argc, argv, &c);
    config_done(&c);
    return status;
}
