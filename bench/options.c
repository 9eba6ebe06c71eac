/* options.c - the command line. */
#include "options.h"
#include <berth/mem.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum kind { TEXT, NUMBER, DECIMAL, FLAG, HELPER, HELP, VERSION } kind;

typedef struct flag {
    const char *name;
    const char *argument; /* as --help shows it; NULL: it takes none */
    const char *help;
    kind kind;
    size_t offset; /* in options */
    double least;  /* of a number */
} flag;

#define AT(member) offsetof(options, member)
static const flag flags[] = {
    {"host", "URL", "-H: unix:///path, tcp://host:port (unix:///var/run/docker.sock)", TEXT,
     AT(host), 0},
    {"tlscacert", "FILE", "speak TLS; the server must be known to these authorities", TEXT, AT(ca),
     0},
    {"tlscert", "FILE", "speak TLS; our certificate", TEXT, AT(cert), 0},
    {"tlskey", "FILE", "its key", TEXT, AT(key), 0},
    {"api-version", "1.XX", "prefix of every path (none)", TEXT, AT(api_version), 0},
    {"connections", "N", "connections, each of them busy (1; idle: 100)", NUMBER, AT(connections),
     1},
    {"pipeline", "N", "requests in flight on each connection (1)", NUMBER, AT(pipeline), 1},
    {"duration", "S", "measure for so many seconds", DECIMAL, AT(duration_s), 0},
    {"count", "N", "measure so many operations", NUMBER, AT(count), 1},
    {"rate", "R", "begin R operations per second, however slow the answers (0: no such plan)",
     DECIMAL, AT(rate), 0},
    {"warmup", "S", "seconds before what is counted (0)", DECIMAL, AT(warmup_s), 0},
    {"timeout", "S", "an answer that takes longer is an error (60)", DECIMAL, AT(timeout_s), 0.1},
    {"hold", "S", "idle, memory, events, start: seconds of rest before memory is read (1)", DECIMAL,
     AT(hold_s), 0},
    {"image", "NAME", "image of the containers (busybox)", TEXT, AT(image), 0},
    {"network", "MODE", "none, bridge or host (none)", TEXT, AT(network), 0},
    {"log", "TYPE", "log driver of the containers (the engine's own)", TEXT, AT(log), 0},
    {"publish", "N", "ports of each container, on ports that the engine chooses (0)", NUMBER,
     AT(publish), 0},
    {"size", "MB", "log-*, attach, archive-*, commit: what is moved (200)", NUMBER, AT(size_mb), 1},
    {"file", "TAR", "load: what is loaded; --image is what it is called", TEXT, AT(file), 0},
    {"prepare", "N", "list, stats, health: containers there before (0)", NUMBER, AT(prepare), 0},
    {"subscribers", "N", "events: clients of /events (10)", NUMBER, AT(subscribers), 0},
    {"pid", "PID", "the daemon: report its CPU and memory", NUMBER, AT(pid), 1},
    {"helper", "NAME",
     "a process per container (berth-monitor, containerd-shim, conmon); repeatable", HELPER, 0, 0},
    {"json", "FILE", "write the results there, too; - is stdout", TEXT, AT(json), 0},
    {"quiet", NULL, "no progress line", FLAG, AT(quiet), 0},
    {"help", NULL, "this text", HELP, 0, 0},
    {"version", NULL, "the version", VERSION, 0, 0},
};

static void print_help(void)
{
    printf("Usage: berth-bench [options] SCENARIO [-- PROGRAM ARGUMENTS]\n\n"
           "Measures a server of the Docker Engine API.\n\nScenarios:\n");
    for (const scenario *s = scenarios; s->name; s++)
        printf("  %-10s %s\n", s->name, s->what);
    printf("\nOptions:\n");
    for (size_t i = 0; i < COUNT(flags); i++)
        printf("  --%-12s %-5s %s\n", flags[i].name, str_or(flags[i].argument, ""), flags[i].help);
    printf("\nThe exit status is 0, 1 when it could not measure, 2 for a wrong command line,\n"
           "3 when operations failed, 130 after ctrl-C.\n");
}

must_check static err *set_number(options *o, const flag *f, const char *text)
{
    char *p = (char *)o + f->offset;
    uint64_t whole;
    char *end;
    double value;

    if (f->kind == NUMBER) {
        if (!str_to_uint64(text, &whole) || (double)whole < f->least)
            return err_new(ERR_INVALID, "--%s: not a number from %g on: %s", f->name, f->least,
                           text);
        *(uint64_t *)(void *)p = whole;
        return NULL;
    }
    errno = 0;
    value = strtod(text, &end);
    if (errno || end == text || *end || !isfinite(value) || value < f->least)
        return err_new(ERR_INVALID, "--%s: not a number from %g on: %s", f->name, f->least, text);
    *(double *)(void *)p = value;
    return NULL;
}

must_check static err *set_flag(options *o, const flag *f, const char *text)
{
    char *p = (char *)o + f->offset;

    switch (f->kind) {
    case TEXT:
        *(const char **)(void *)p = text;
        return NULL;
    case FLAG:
        *(bool *)p = true;
        return NULL;
    case HELPER:
        strv_push(&o->helpers, text);
        return NULL;
    case HELP:
        print_help();
        exit(0);
    case VERSION:
        printf("berth-bench %s\n", BERTH_VERSION);
        exit(0);
    default:
        return set_number(o, f, text);
    }
}

must_check static err *parse_flags(options *o, int argc, char **argv)
{
    struct option known[COUNT(flags) + 1] = {0};
    int which, c;

    for (size_t i = 0; i < COUNT(flags); i++)
        known[i] = (struct option){flags[i].name, flags[i].argument ? 1 : 0, NULL, 0};
    while ((c = getopt_long(argc, argv, "H:h", known, &which)) != -1) {
        if (c == 'H')
            o->host = optarg;
        else if (c == 'h')
            TRY(set_flag(o, &(const flag){.kind = HELP}, NULL));
        else if (c == 0)
            TRY(set_flag(o, &flags[which], optarg));
        else
            return err_new(ERR_INVALID, "see --help");
    }
    return NULL;
}

must_check static err *check(options *o)
{
    if (o->scenario->needs_command && !o->command)
        return err_new(ERR_INVALID, "%s needs a program after --", o->scenario->name);
    if (!o->scenario->needs_command && o->command)
        return err_new(ERR_INVALID, "%s takes no program", o->scenario->name);
    if (!str_empty(o->cert) != !str_empty(o->key))
        return err_new(ERR_INVALID, "--tlscert and --tlskey go together");
    if (o->connections > 100000 || o->pipeline > 10000 || o->subscribers > 100000)
        return err_new(ERR_INVALID, "more connections than this program is made for");
    if (o->publish > 10000 || o->size_mb > 10000)
        return err_new(ERR_INVALID, "--publish and --size: at most 10000");
    if (o->rate > 1e6)
        return err_new(ERR_INVALID, "--rate: at most a million");
    return NULL;
}

static void fill_defaults(options *o)
{
    if (!o->duration_s && !o->count) {
        o->duration_s = o->scenario->duration_s;
        o->count = o->scenario->count;
    }
    if (!o->connections)
        o->connections = o->scenario->connections ? o->scenario->connections : 1;
    if (!o->helpers.n)
        strv_add(&o->helpers, "berth-monitor", "containerd-shim", "conmon", NULL);
}

err *options_parse(int argc, char **argv, options *ret)
{
    options *o = ret;

    *o = (options){.host = "unix:///var/run/docker.sock",
                   .pipeline = 1,
                   .timeout_s = 60,
                   .hold_s = 1,
                   .image = "busybox",
                   .network = "none",
                   .size_mb = 200,
                   .subscribers = 10};
    TRY(parse_flags(o, argc, argv));
    if (optind >= argc)
        return err_new(ERR_INVALID, "which scenario? see --help");
    o->scenario = scenario_find(argv[optind]);
    if (!o->scenario)
        return err_new(ERR_INVALID, "no such scenario: %s; see --help", argv[optind]);
    if (argv[++optind])
        o->command = argv + optind;
    TRY(check(o));
    fill_defaults(o);
    return NULL;
}

void options_done(options *o)
{
    strv_done(&o->helpers);
}
