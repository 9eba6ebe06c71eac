/* system.c - the system router: ping, version, info; events are events.c's.  Loop thread only. */
#include "routes.h"
#include <berth/buf.h>
#include <berth/system.h>

static void ping(request *r)
{
    reply_header(r, "Builder-Version", "1");
    reply_header(r, "Swarm", "inactive");
    reply_header(r, "Cache-Control", "no-cache, no-store, must-revalidate");
    reply_header(r, "Pragma", "no-cache");
    reply_bytes(r, 200, "text/plain; charset=utf-8", "OK", request_method(r) == HEAD ? 0 : 2);
}

/* Many clients ask both on every command: they are kept as text. */
static void version(request *r)
{
    auto_buf text = {0};

    system_version_text(request_version(r), &text);
    reply_bytes(r, 200, "application/json", text.data, text.len);
}

static void info(request *r)
{
    auto_buf text = {0};

    system_info_text(request_version(r), &text);
    reply_bytes(r, 200, "application/json", text.data, text.len);
}

const route system_routes[] = {
    {GET, "/_ping", ping, 0},
    {HEAD, "/_ping", ping, 0},
    {GET, "/version", version, 0},
    {GET, "/info", info, 0},
    {GET, "/events", stream_events, 0},
    {GET, "/system/df", tell_disk_usage, SINCE(25)},
    {0},
};
