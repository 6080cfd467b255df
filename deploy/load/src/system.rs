//! What this machine says about processes: CPU time, resident memory, open files, cores.
//! Linux only, as the server's own figures are.

use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::ClockId;
use nix::unistd::Pid;

/// Files that are open beside the connections.
const SPARE_FILES: u64 = 64;

/// CPU time that process `pid` has used, all its threads, those that ended too.
pub fn cpu_of(pid: i32) -> Result<Duration, String> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid));
    let time = clock.and_then(ClockId::now).map_err(|error| no_process(pid, &error))?;
    Ok(Duration::from(time))
}

/// CPU time that the calling thread has used.
pub fn cpu_of_this_thread() -> Duration {
    ClockId::CLOCK_THREAD_CPUTIME_ID.now().map(Duration::from).unwrap_or_default()
}

/// Lets the calling thread run only where process `pid` may.
pub fn run_where(pid: i32) -> Result<(), String> {
    let cores: CpuSet =
        sched_getaffinity(Pid::from_raw(pid)).map_err(|error| no_process(pid, &error))?;
    sched_setaffinity(Pid::from_raw(0), &cores)
        .map_err(|error| format!("cannot run on the cores of process {pid}: {error}"))
}

/// Resident memory of process `pid` in bytes.
pub fn resident(pid: i32) -> Result<u64, String> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .ok()
        .and_then(|text| kilobytes(&text, "Rss:"));
    let status = || std::fs::read_to_string(format!("/proc/{pid}/status"));
    match rollup {
        Some(bytes) => Ok(bytes),
        None => status()
            .ok()
            .and_then(|text| kilobytes(&text, "VmRSS:"))
            .ok_or_else(|| format!("cannot read the memory of process {pid}: is it running?")),
    }
}

/// Resident memory of all these processes; none when none is named.
pub fn resident_all(pids: &[i32]) -> Result<Option<u64>, String> {
    let each = pids.iter().map(|pid| resident(*pid)).collect::<Result<Vec<_>, _>>()?;
    Ok((!each.is_empty()).then(|| each.iter().sum()))
}

/// CPU time that all these processes have used.
pub fn cpu_of_all(pids: &[i32]) -> Result<Duration, String> {
    pids.iter().map(|pid| cpu_of(*pid)).sum()
}

/// Makes room for `connections` open files, or says what to do.
pub fn allow_files(connections: usize) -> Result<(), String> {
    let wanted = connections as u64 + SPARE_FILES;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)
        .map_err(|error| format!("cannot read the limit of open files: {error}"))?;
    if wanted <= soft {
        return Ok(());
    }
    if wanted > hard {
        return Err(format!(
            "{connections} connections need {wanted} open files and this process may have {hard}: \
             raise `ulimit -n`, or run several moim-load with fewer connections each"
        ));
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
        .map_err(|error| format!("cannot raise the limit of open files to {hard}: {error}"))
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

fn no_process(pid: i32, error: &nix::Error) -> String {
    format!("cannot look at process {pid}: {error}; give --pid the server's process id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_cpu_time() {
        let own = std::process::id() as i32;
        assert!(resident(own).unwrap() > 0);
        assert!(cpu_of(own).unwrap() >= cpu_of_this_thread());
    }

    #[test]
    fn too_many_files_are_refused_with_a_way_out() {
        let refusal = allow_files(usize::MAX / 2).unwrap_err();
        assert!(refusal.contains("ulimit"));
    }
}
