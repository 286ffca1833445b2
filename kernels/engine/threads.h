#ifndef UFFB_THREADS_H
#define UFFB_THREADS_H

#include <stdint.h>

typedef struct uffb_team uffb_team;

/* A task of a parallel section: `task` counts from 0, `thread` is below the team's size and names scratch of its own. */
typedef void uffb_task(void *arg, int64_t task, int32_t thread);

/* NULL when out of memory or threads. `threads` >= 1 counts the caller. */
uffb_team *uffb_team_new(int32_t threads);
void uffb_team_free(uffb_team *team);

/* Runs tasks 0 to tasks - 1, below 2^32 - 1, the caller included, and returns when all are done. Never nested. */
void uffb_parallel(uffb_team *team, int64_t tasks, uffb_task *run, void *arg);

#endif
