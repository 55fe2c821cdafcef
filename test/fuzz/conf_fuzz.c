/* conf_fuzz.c -- the configuration is read before anything else runs: whatever it is, one clear error. */
#include "runtime/cluster/conf_yaml.h"

#include "base/assert.h"
#include "base/config.h"
#include "base/memory.h"
#include "runtime/cluster/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static weir_error *set(void *arg, const char *key, const char *text, uint32_t line)
{
    ASSERT(key[0] != '\0' && line > 0);
    return config_set(arg, key, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t count;
    const struct weir_option *rows = conf_rows(&count);
    struct config *config = config_new_bare();
    config_add(config, rows, count);
    weir_error *error = conf_yaml_read("input",
        (weir_str){ .data = (const char *)data, .size = size }, set, config);
    ASSERT(error == NULL || weir_error_code(error) == WEIR_E_USAGE);
    weir_error_free(error);
    config_free(config);
    return 0;
}
