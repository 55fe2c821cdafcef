/* main.c -- the command `weir`. All of it is elsewhere, so that tests can call it. */
#include "cli/verb.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
