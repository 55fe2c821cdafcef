/* java_throwable.h -- why something failed, as a client in Java wants it: a serialised exception, as base64.
 *
 * Flink's command line reads a failure out of a serialised org.apache.flink.util.SerializedThrowable and out of
 * nothing else. It is written from a fixed template: three class descriptors (it, java.lang.Exception,
 * java.lang.Throwable), then the message, the text that stands for the stack, the name of the class. The
 * layout is in java_throwable.c.
 *
 * Thread: any. Limits: a text is cut at 8 KiB. */
#ifndef WEIR_WEB_JAVA_THROWABLE_H
#define WEIR_WEB_JAVA_THROWABLE_H

#include <weir/connector.h>

/* Appends the base64. `name`: of the class, "weir.CheckpointException". */
void java_throwable(const char *name, const char *message, weir_buffer *out);

#endif
