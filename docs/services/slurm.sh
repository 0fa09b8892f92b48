#!/bin/sh
# A worker as a Slurm job: it takes jobs until there has been nothing to do for five minutes, and then ends.
#
#   sbatch docs/services/slurm.sh              one worker
#   sbatch --array=1-8 docs/services/slurm.sh  eight, each with a GPU of its own
#
# models/ and history/ lie on the shared file system; Redis runs on a node that all others reach. Two minutes before
# the time is over the worker is told: it hands on what it does, from the last finished epoch, and another worker goes
# on with it. A worker that is killed without a word costs an epoch at most.
#SBATCH --job-name=fer-worker
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue

: "${FER_BROKER_URL:?names the Redis that all nodes reach, rediss://fer:PASSWORD@HOST:6379/0}"
: "${FER_MODELS_DIR:?names models/ on the shared file system}"
: "${FER_HISTORY_DIR:?names history/ on the shared file system}"
export FER_STATE_DIR="${TMPDIR:-/tmp}/fer-state" FER_CACHE_DIR="${TMPDIR:-/tmp}/fer-cache"

name="slurm${SLURM_JOB_ID:-0}-${SLURM_ARRAY_TASK_ID:-0}@%h"
# exec: the signal reaches the worker itself.
exec celery -A jobs worker --loglevel INFO --without-gossip --without-mingle \
    --hostname "$name" --exclude-queues cpu --exit-when-idle "${FER_IDLE_SECONDS:-300}"
