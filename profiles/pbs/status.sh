#!/usr/bin/env bash
# Say of one PBS job whether it is running, success or failed, in this one word.
#
# status.sh JOB is called by the plugin cluster-generic. A job that PBS has forgotten, or a server that does not answer,
# counts as running for a while, and as failed after UNIMAT_PBS_PATIENCE questions in vain (10): its output decides.
set -euo pipefail

job=${1:?name a job}
# qstat -x knows finished jobs, too (PBS Pro and OpenPBS: job_history_enable); Torque keeps them without it.
if answer=$(timeout 30 qstat -x -f "$job" 2>/dev/null || timeout 30 qstat -f "$job" 2>/dev/null); then
    state=$(sed -n 's/^ *job_state = //p' <<<"$answer")
    code=$(sed -n -E 's/^ *(Exit_status|exit_status) = //p' <<<"$answer")
    case $state in
        F | C | X) [ "${code:-1}" = 0 ] && echo success || echo failed ;;
        *) echo running ;;
    esac
    rm -f ".snakemake/pbs-$job"
    exit
fi
mkdir -p .snakemake
echo >>".snakemake/pbs-$job"
if [ "$(wc -l <".snakemake/pbs-$job")" -gt "${UNIMAT_PBS_PATIENCE:-10}" ]; then
    rm -f ".snakemake/pbs-$job"
    echo failed
else
    echo running
fi
