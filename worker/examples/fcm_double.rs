//! The double of FCM that the tests have, as a process: for measuring, and for trying out an app's
//! server side without a Firebase project.
//!
//! `fcm_double DIRECTORY [well|away|too-many|slow] [SECONDS]` puts a key file into the directory,
//! prints what a worker is to be configured with, and behaves so for the time; then it takes
//! everything. It ends with its input, and says what it took.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measuring tool may give up")]

#[path = "../tests/support/fcm_double.rs"]
mod fcm_double;

use std::collections::HashSet;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use fcm_double::{Answer, FcmDouble};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().expect("give a directory for the key file"));
    let answer = match arguments.next().as_deref() {
        None | Some("well") => Answer::Taken,
        Some("away") => Answer::html(503),
        Some("too-many") => Answer::quota_of_project().retry_after("20"),
        Some("slow") => Answer::Taken.slowly(Duration::from_secs(10)),
        Some(other) => panic!("`{other}` is none of well, away, too-many, slow"),
    };
    let seconds = arguments.next().map_or(60, |text| text.parse().expect("seconds"));
    let fcm = FcmDouble::start();
    let credentials = fcm.put_credentials(&directory);
    fcm.answer(answer);
    println!("MOIM_FCM_ENDPOINT={}", fcm.endpoint());
    println!("MOIM_FCM_CREDENTIALS={}", credentials.display());
    let later = fcm.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(seconds));
        later.answer(Answer::Taken);
    });
    // Until whoever started it has enough.
    let _ = std::io::stdin().read(&mut [0]);
    let taken = fcm.taken();
    let distinct: HashSet<_> = taken.iter().map(|it| (&it.data["id"], &it.token)).collect();
    println!("{} calls, {} taken, {} of them different", fcm.tried(), taken.len(), distinct.len());
}
