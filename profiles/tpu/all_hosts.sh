#!/usr/bin/env bash
# Run a command on every host of a TPU pod, in this directory, which all of them must see.
#
# all_hosts.sh unimat train --encoded ... is what the launcher of profiles/tpu makes of the training rule.
# UNIMAT_TPU_NAME and UNIMAT_TPU_ZONE name the pod; UNIMAT_TPU_ACTIVATE is a command that makes `unimat` found.
# Ends with the exit code of gcloud, which is not 0 if a host's was not; what a host says is logged here.
set -euo pipefail

: "${UNIMAT_TPU_NAME:?name the TPU pod, as gcloud compute tpus tpu-vm list shows it}"
: "${UNIMAT_TPU_ZONE:?name its zone}"

# Every word quoted once more: settings are JSON, and a shell on each host reads them again.
printf -v command '%q ' "$@"
printf -v folder '%q' "$PWD"

exec gcloud compute tpus tpu-vm ssh "$UNIMAT_TPU_NAME" --zone="$UNIMAT_TPU_ZONE" --worker=all \
    --command="${UNIMAT_TPU_ACTIVATE:-true} && cd $folder && UNIMAT_COORDINATOR=auto exec $command"
