"""What jobs ask a scheduler for; the figures stand in unimat.configuration.resources, where the doctor reads them, too."""

from unimat.configuration.resources import RESOURCES, threads_of


def cores(job):
    """Cores of a rule's jobs; those of a set's where its settings say."""
    if RESOURCES[job].threads is not None or job == "md_set":
        return threads_of(job, configuration)
    return lambda wildcards: threads_of(job, configuration, wildcards.set)


def memory(job):
    """MB of a rule's jobs; a retry gets as much again."""
    return lambda wildcards, attempt: RESOURCES[job].memory(attempt)


def minutes(job):
    """Minutes of a rule's jobs; a retry gets as much again."""
    return lambda wildcards, attempt: RESOURCES[job].runtime(attempt)
