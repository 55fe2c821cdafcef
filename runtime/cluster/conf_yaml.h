/* conf_yaml.h -- a file of keys and values in YAML, told one by one.
 *
 * Mappings in mappings are flattened, names joined by dots; values are scalars, as they are written. What
 * YAML can beyond that is refused with its line: sequences, anchors and aliases, several documents, keys
 * that are no scalars. The only user of libyaml, by its events, so that nothing can grow.
 *
 * Thread: any. */
#ifndef WEIR_CLUSTER_CONF_YAML_H
#define WEIR_CLUSTER_CONF_YAML_H

#include <weir/error.h>
#include <weir/type.h>
#include <stdint.h>

/* An error ends the reading and is returned. Lines count from 1. */
typedef weir_error *conf_yaml_fn(void *arg, const char *key, const char *text, uint32_t line);
/* `what` names the bytes in errors (WEIR_E_USAGE). */
weir_error *conf_yaml_read(const char *what, weir_str bytes, conf_yaml_fn *each, void *arg)
    WEIR_MUST_USE;

#endif
