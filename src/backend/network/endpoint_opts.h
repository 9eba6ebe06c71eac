/* endpoint_opts.h - what DriverOpts and LinkLocalIPs say of one endpoint. */
#ifndef BERTH_NETWORK_ENDPOINT_OPTS_H
#define BERTH_NETWORK_ENDPOINT_OPTS_H

#include "private.h"

/* What is wrong with a wish, a line each. */
void endpoint_opts_check(const endpoint_settings *wish, strv *complaints);
/* Into a new endpoint; its ifname stays empty when none was asked for. */
void endpoint_opts_take(endpoint *ep, const endpoint_settings *wish);
/* Job, in the container's namespace, where its link is: sysctls, link-local addresses. */
must_check err *endpoint_settle(struct rtnl *inside, const endpoint *ep, int index);

#endif
