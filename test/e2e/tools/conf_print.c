/* conf_print.c -- conf/weir.yaml as the table of options says it should be, on standard output. */
#include "base/buffer.h"
#include "base/log.h"
#include "runtime/cluster/conf.h"

int main(void)
{
    weir_buffer *out = weir_buffer_new(CONF_FILE_SIZE_MAX);
    conf_print(out);
    weir_error *error = buffer_to_stdout(out);
    if (error != NULL)
        log_error("conf", "%s", weir_error_message(error));
    return error == NULL ? 0 : weir_code_exit(weir_error_code(error));
}
