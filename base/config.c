/* config.c -- the set of option tables, the values given, and the parser that joins them. */
#include "base/config.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAME_SIZE_MAX ((size_t)64)
#define OPTIONS_MAX   1024u
#define USAGE_COLUMNS 80u
#define HELP_COLUMN   30u

/* Thread: immutable after config_parse. */
struct value {
    const struct weir_option *row; /* borrowed */
    char *text;                    /* owned; as given, or the fallback; NULL: none */
    int64_t number;                /* parsed from it; a flag's 0 or 1 */
    bool is_given;
};

/* Thread: immutable after config_parse. */
struct config {
    struct value *values;
    uint32_t count;
    const char *dashes;  /* in front of names in messages: "--", or "" of a bare set */
    weir_error *mistake; /* of the tables themselves; config_parse and config_set report it */
};

/* -- numbers with units --------------------------------------------------------------------- */

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit duration_units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 },
    { "h", 3600000 }, { "d", 86400000 }, { NULL, 0 } };
static const struct unit size_units[] = { { "B", 1 }, { "KB", 1 << 10 }, { "MB", 1 << 20 },
    { "GB", 1 << 30 }, { "TB", INT64_C(1) << 40 }, { NULL, 0 } };
static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };

static int64_t factor_of(const struct unit *units, const char *name)
{
    for (; units->name != NULL; units++)
        if (strcmp(units->name, name) == 0)
            return units->factor;
    return 0;
}

enum parse_result { PARSE_OK, PARSE_MALFORMED, PARSE_TOO_LARGE };

/* [-]digits and a unit; a lone 0 needs none. */
static enum parse_result number_parse(const char *text, const struct unit *units, int64_t *number)
{
    const char *at = text + (text[0] == '-');
    bool has_digits = false;
    bool is_too_large = false;
    int64_t total = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        has_digits = true;
        is_too_large |= __builtin_mul_overflow(total, 10, &total) ||
                        __builtin_add_overflow(total, *at - '0', &total);
    }
    int64_t factor = factor_of(units, at);
    if (factor == 0 && *at == '\0' && total == 0 && !is_too_large)
        factor = 1;
    if (!has_digits || factor == 0)
        return PARSE_MALFORMED;
    if (is_too_large || __builtin_mul_overflow(total, factor, &total))
        return PARSE_TOO_LARGE;
    *number = text[0] == '-' ? -total : total;
    return PARSE_OK;
}

static enum parse_result duration_parse(const char *text, int64_t *ms)
{
    return text[0] == '-' ? PARSE_MALFORMED : number_parse(text, duration_units, ms);
}

static enum parse_result size_parse(const char *text, int64_t *bytes)
{
    return text[0] == '-' ? PARSE_MALFORMED : number_parse(text, size_units, bytes);
}

#define DURATION_FORM "a number with ms, s, m, h or d, such as 10s"
#define SIZE_FORM     "a number with B, KB, MB, GB or TB, such as 64MB"

/* The largest unit that divides the number, so that a limit reads as somebody would write it. */
static const char *number_print(int64_t number, enum weir_option_kind kind, char *text, size_t size)
{
    const struct unit *units = kind == WEIR_OPTION_DURATION ? duration_units
                               : kind == WEIR_OPTION_SIZE   ? size_units
                                                            : no_units;
    const struct unit *best = units;
    for (; units->name != NULL; units++)
        if (number != 0 && number % units->factor == 0)
            best = units;
    snprintf(text, size, "%" PRId64 "%s", number / best->factor, best->name);
    return text;
}

/* -- rows and values ------------------------------------------------------------------------ */

static bool is_number(enum weir_option_kind kind)
{
    return kind == WEIR_OPTION_NUMBER || kind == WEIR_OPTION_DURATION || kind == WEIR_OPTION_SIZE;
}

static int64_t min_of(const struct weir_option *row)
{
    return row->min == 0 && row->max == 0 ? row->kind == WEIR_OPTION_SIZE : row->min;
}

static int64_t max_of(const struct weir_option *row)
{
    return row->min == 0 && row->max == 0 ? INT64_MAX : row->max;
}

static weir_error *check_range(const char *dashes, const struct weir_option *row, const char *text,
    int64_t number)
{
    char min[32], max[32];
    if (number >= min_of(row) && number <= max_of(row))
        return NULL;
    number_print(min_of(row), row->kind, min, sizeof(min));
    number_print(max_of(row), row->kind, max, sizeof(max));
    if (max_of(row) == INT64_MAX)
        return weir_errorf(WEIR_E_USAGE, "option '%s%s' is '%s'; it must be at least %s", dashes,
            row->name, text, min);
    return weir_errorf(WEIR_E_USAGE, "option '%s%s' is '%s'; it must be from %s to %s", dashes,
        row->name, text, min, max);
}

static enum parse_result flag_parse(const char *text, int64_t *number)
{
    *number = strcmp(text, "true") == 0;
    return *number == 1 || strcmp(text, "false") == 0 ? PARSE_OK : PARSE_MALFORMED;
}

static weir_error *text_parse(const char *dashes, const struct weir_option *row, const char *text,
    int64_t *number)
{
    enum parse_result result = PARSE_OK;
    const char *form = "";
    *number = 0;
    switch (row->kind) {
    case WEIR_OPTION_TEXT:
        return NULL;
    case WEIR_OPTION_FLAG:
        result = flag_parse(text, number);
        form = "true or false";
        break;
    case WEIR_OPTION_NUMBER:
        result = number_parse(text, no_units, number);
        form = "a whole number";
        break;
    case WEIR_OPTION_DURATION:
        result = duration_parse(text, number);
        form = DURATION_FORM;
        break;
    case WEIR_OPTION_SIZE:
        result = size_parse(text, number);
        form = SIZE_FORM;
        break;
    }
    if (result == PARSE_MALFORMED)
        return weir_errorf(WEIR_E_USAGE, "option '%s%s' is '%s'; it must be %s", dashes, row->name,
            text, form);
    if (result == PARSE_TOO_LARGE)
        *number = text[0] == '-' ? INT64_MIN : INT64_MAX;
    if (result == PARSE_TOO_LARGE && max_of(row) == INT64_MAX && text[0] != '-')
        return weir_errorf(WEIR_E_USAGE, "option '%s%s' is '%s', which is too large", dashes,
            row->name, text);
    return row->kind == WEIR_OPTION_FLAG ? NULL : check_range(dashes, row, text, *number);
}

static struct value *find(const struct config *config, const char *name, size_t size)
{
    for (uint32_t i = 0; i < config->count; i++) {
        const char *known = config->values[i].row->name;
        if (strlen(known) == size && memcmp(known, name, size) == 0)
            return &config->values[i];
    }
    return NULL;
}

static weir_error *value_set(const struct config *config, struct value *value, const char *text)
{
    int64_t number;
    WEIR_TRY(text_parse(config->dashes, value->row, text, &number));
    mem_free(value->text);
    value->text = mem_strdup(text);
    value->number = number;
    value->is_given = true;
    return NULL;
}

/* -- the set -------------------------------------------------------------------------------- */

struct config *config_new(void)
{
    struct config *config = mem_alloc(sizeof(*config));
    config->dashes = "--";
    return config;
}

struct config *config_new_bare(void)
{
    struct config *config = config_new();
    config->dashes = "";
    return config;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    for (uint32_t i = 0; i < config->count; i++)
        mem_free(config->values[i].text);
    mem_free(config->values);
    weir_error_free(config->mistake);
    mem_free(config);
}

/* Remembers a mistake in a table instead of aborting: half of the tables are a user's program. */
static weir_error *row_check(const struct config *config, const struct weir_option *row)
{
    if (row->name == NULL || row->name[0] == '\0' || strlen(row->name) > NAME_SIZE_MAX)
        return weir_errorf(WEIR_E_PLAN,
            "an option of the program has no name, or one of more than "
            "%zu bytes",
            NAME_SIZE_MAX);
    if (find(config, row->name, strlen(row->name)) != NULL)
        return weir_errorf(WEIR_E_PLAN,
            "the option '--%s' is in the tables twice; rename the "
            "program's",
            row->name);
    if (row->kind > WEIR_OPTION_SIZE)
        return weir_errorf(WEIR_E_PLAN, "the option '--%s' has an unknown kind", row->name);
    return NULL;
}

void config_add(struct config *config, const struct weir_option *options, uint32_t count)
{
    ASSERT(count <= OPTIONS_MAX - config->count);
    config->values = mem_realloc(config->values, (config->count + count) * sizeof(*config->values));
    for (uint32_t i = 0; i < count; i++) {
        weir_error *mistake = row_check(config, &options[i]);
        struct value value = { .row = &options[i] };
        if (mistake == NULL && options[i].fallback != NULL) {
            mistake = value_set(config, &value, options[i].fallback);
            if (mistake != NULL)
                mistake = weir_error_join(weir_errorf(WEIR_E_PLAN,
                                              "the fallback of option '--%s' "
                                              "does not fit its row",
                                              options[i].name),
                    mistake);
            value.is_given = false;
        }
        config->mistake = weir_error_join(config->mistake, mistake);
        if (mistake == NULL)
            config->values[config->count++] = value;
    }
}

bool config_has(const struct config *config, const char *name)
{
    return find(config, name, strlen(name)) != NULL;
}

static const struct value *value_of(const struct config *config, const char *name)
{
    const struct value *value = find(config, name, strlen(name));
    ASSERT(value != NULL); /* asks for an option that is in no table */
    return value;
}

bool config_given(const struct config *config, const char *name)
{
    return value_of(config, name)->is_given;
}

const char *config_text(const struct config *config, const char *name)
{
    return value_of(config, name)->text;
}

int64_t config_number(const struct config *config, const char *name)
{
    const struct value *value = value_of(config, name);
    ASSERT(is_number(value->row->kind));
    return value->number;
}

bool config_flag(const struct config *config, const char *name)
{
    const struct value *value = value_of(config, name);
    ASSERT(value->row->kind == WEIR_OPTION_FLAG);
    return value->number != 0;
}

weir_error *config_choice(const struct config *config, const char *name, uint32_t *choice)
{
    const struct value *value = value_of(config, name);
    const char *choices = value->row->value_name;
    size_t size = strlen(value->text);
    ASSERT(value->row->kind == WEIR_OPTION_TEXT && strchr(choices, '|') != NULL);
    *choice = 0;
    for (const char *at = choices;; at++) {
        size_t length = strcspn(at, "|");
        if (length == size && memcmp(at, value->text, size) == 0)
            return NULL;
        at += length;
        ++*choice;
        if (*at == '\0')
            break;
    }
    return weir_errorf(WEIR_E_USAGE, "option '%s%s' is '%s'; it must be one of %s", config->dashes,
        name, value->text, choices);
}

/* -- parsing -------------------------------------------------------------------------------- */

/* Levenshtein, one row of the matrix at a time. */
static size_t edit_distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t row[NAME_SIZE_MAX + 1];
    ASSERT(b_size <= NAME_SIZE_MAX);
    for (size_t j = 0; j <= b_size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t replace = diagonal + (a[i - 1] != b[j - 1]);
            size_t insert = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = replace < insert ? replace : insert;
        }
    }
    return row[b_size];
}

/* The nearest known name, or NULL if none is near: a third of its letters may differ, or two. */
static const char *nearest(const struct config *config, const char *name, size_t size)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    if (size > NAME_SIZE_MAX)
        return NULL;
    for (uint32_t i = 0; i < config->count; i++) {
        const char *known = config->values[i].row->name;
        size_t known_size = strlen(known);
        size_t distance = edit_distance(name, size, known, known_size);
        size_t allowed = known_size / 3 > 2 ? known_size / 3 : 2;
        if (distance <= allowed && distance < size && distance < best_distance) {
            best = known;
            best_distance = distance;
        }
    }
    return best;
}

const char *config_nearest(const struct config *config, const char *name)
{
    return nearest(config, name, strlen(name));
}

static weir_error *unknown_option(const struct config *config, const char *name, size_t size)
{
    const char *known = nearest(config, name, size);
    int shown = size > NAME_SIZE_MAX ? (int)NAME_SIZE_MAX : (int)size;
    if (known != NULL)
        return weir_errorf(WEIR_E_USAGE, "there is no option '%s%.*s'; did you mean '%s%s'?",
            config->dashes, shown, name, config->dashes, known);
    return weir_errorf(WEIR_E_USAGE, "there is no option '%s%.*s'%s", config->dashes, shown, name,
        config->dashes[0] == '-' ? "; --help lists all" : "");
}

/* One option at argv[*index]; moves *index over its value. */
static weir_error *option_parse(struct config *config, int argc, char **argv, int *index)
{
    const char *name = argv[*index] + 2;
    size_t size = strcspn(name, "=");
    const char *text = name[size] == '=' ? name + size + 1 : NULL;
    struct value *value = find(config, name, size);
    if (value == NULL)
        return unknown_option(config, name, size);
    const struct weir_option *row = value->row;
    if (value->is_given)
        return weir_errorf(WEIR_E_USAGE, "option '--%s' is given twice", row->name);
    if (row->kind == WEIR_OPTION_FLAG) {
        if (text != NULL)
            return weir_errorf(WEIR_E_USAGE,
                "option '--%s' is a flag and takes no value, but got "
                "'%s'",
                row->name, text);
        return value_set(config, value, "true");
    }
    if (text == NULL) {
        const char *form = row->value_name == NULL ? "VALUE" : row->value_name;
        if (*index + 1 >= argc || strncmp(argv[*index + 1], "--", 2) == 0)
            return weir_errorf(WEIR_E_USAGE, "option '--%s' needs a value: --%s=%s", row->name,
                row->name, form);
        text = argv[++*index];
    }
    return value_set(config, value, text);
}

static weir_error *take_mistake(struct config *config)
{
    weir_error *mistake = config->mistake;
    config->mistake = NULL;
    return mistake;
}

weir_error *config_set(struct config *config, const char *name, const char *text)
{
    WEIR_TRY(take_mistake(config));
    struct value *value = find(config, name, strlen(name));
    return value == NULL ? unknown_option(config, name, strlen(name))
                         : value_set(config, value, text);
}

weir_error *config_parse(struct config *config, int argc, char **argv)
{
    WEIR_TRY(take_mistake(config));
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0 || argv[i][2] == '\0')
            return weir_errorf(WEIR_E_USAGE,
                "'%.200s' is not an option; options look like --name or "
                "--name=VALUE",
                argv[i]);
        WEIR_TRY(option_parse(config, argc, argv, &i));
    }
    return NULL;
}

/* -- usage ---------------------------------------------------------------------------------- */

/* Columns that UTF-8 text takes: one a character is near enough. */
static size_t columns_of(const char *text, size_t size)
{
    size_t columns = 0;
    for (size_t i = 0; i < size; i++)
        columns += (text[i] & 0xc0) != 0x80;
    return columns;
}

/* Adds the words of `text`, wrapped and indented; *column is where the line stands. */
static void words_add(weir_buffer *out, const char *text, size_t *column)
{
    while (*text != '\0') {
        text += strspn(text, " \n");
        size_t size = strcspn(text, " \n");
        size_t columns = columns_of(text, size);
        if (size == 0)
            break;
        if (*column > HELP_COLUMN && *column + 1 + columns > USAGE_COLUMNS) {
            buffer_printf(out, "\n%*s", (int)HELP_COLUMN, "");
            *column = HELP_COLUMN;
        } else if (*column > HELP_COLUMN) {
            weir_buffer_add_byte(out, ' ');
            *column += 1;
        }
        weir_buffer_add(out, text, size);
        *column += columns;
        text += size;
    }
}

/* "  --name VALUE"; returns the columns it takes. */
static size_t head_print(const struct weir_option *row, weir_buffer *out)
{
    size_t start = buffer_size(out);
    buffer_printf(out, "  --%s", row->name);
    if (row->kind != WEIR_OPTION_FLAG)
        buffer_printf(out, " %s", row->value_name == NULL ? "VALUE" : row->value_name);
    weir_str view = weir_buffer_view(out);
    return columns_of(view.data + start, view.size - start);
}

static void row_print(const struct weir_option *row, weir_buffer *out)
{
    size_t column = head_print(row, out);
    const char *help = row->help == NULL ? "" : row->help;
    bool has_fallback = row->fallback != NULL && row->kind != WEIR_OPTION_FLAG;
    if (help[0] != '\0' || has_fallback) {
        if (column + 2 > HELP_COLUMN) {
            weir_buffer_add_byte(out, '\n');
            column = 0;
        }
        buffer_printf(out, "%*s", (int)(HELP_COLUMN - column), "");
        column = HELP_COLUMN;
        words_add(out, help, &column);
    }
    if (has_fallback) {
        char *text = mem_printf("(default: %s)", row->fallback);
        words_add(out, text, &column);
        mem_free(text);
    }
    weir_buffer_add_byte(out, '\n');
}

void config_usage(const struct config *config, weir_buffer *out)
{
    for (uint32_t i = 0; i < config->count; i++)
        row_print(config->values[i].row, out);
}
