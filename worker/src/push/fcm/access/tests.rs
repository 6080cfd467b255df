//! One token for all, over time that the test makes.

use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::*;

/// Gives tokens that live an hour, one for each permit, unless it is told to fail.
struct Scripted {
    start: Instant,
    passed: Mutex<Duration>,
    fails: Mutex<Option<PushError>>,
    asked: Mutex<usize>,
    go: Semaphore,
}

impl Grants for Arc<Scripted> {
    async fn grant(&self) -> Result<Granted, PushError> {
        let number = {
            let mut asked = self.asked.lock();
            *asked += 1;
            *asked
        };
        self.go.acquire().await.unwrap().forget();
        match self.fails.lock().clone() {
            Some(error) => Err(error),
            None => Ok(Granted {
                bearer: HeaderValue::try_from(format!("Bearer {number}")).unwrap(),
                project: "p".into(),
                lives: Duration::from_secs(3_600),
            }),
        }
    }

    fn now(&self) -> Instant {
        self.start + *self.passed.lock()
    }
}

struct Rig {
    grants: Arc<Scripted>,
    access: Arc<Access<Arc<Scripted>>>,
}

impl Rig {
    fn new(permits: usize) -> Self {
        let grants = Arc::new(Scripted {
            start: Instant::now(),
            passed: Mutex::default(),
            fails: Mutex::default(),
            asked: Mutex::default(),
            go: Semaphore::new(permits),
        });
        let access = Access::new(grants.clone(), Duration::from_secs(10));
        Self { grants, access: Arc::new(access) }
    }

    fn at(&self, seconds: u64) {
        *self.grants.passed.lock() = Duration::from_secs(seconds);
    }

    fn fail(&self, error: Option<PushError>) {
        *self.grants.fails.lock() = error;
    }

    fn asked(&self) -> usize {
        *self.grants.asked.lock()
    }

    async fn bearer(&self) -> Result<String, PushError> {
        self.access.pass().await.map(|pass| pass.bearer.to_str().unwrap().to_owned())
    }

    async fn gets(&self, number: usize) {
        assert_eq!(self.bearer().await, Ok(format!("Bearer {number}")));
    }
}

fn away() -> PushError {
    PushError::Later { after: None, unsure: false, why: "away".into() }
}

#[tokio::test]
async fn many_who_need_one_ask_once() {
    let rig = Rig::new(100);
    join_all((0..50).map(|_| rig.gets(1))).await;
    assert_eq!(rig.asked(), 1);
}

#[tokio::test]
async fn who_gives_up_waiting_leaves_the_turn_to_the_next() {
    let rig = Rig::new(0);
    let first = tokio::spawn({
        let access = rig.access.clone();
        async move { access.pass().await.map(|_| ()) }
    });
    while rig.asked() == 0 {
        tokio::task::yield_now().await;
    }
    first.abort();
    rig.grants.go.add_permits(1);
    rig.gets(2).await;
}

#[tokio::test]
async fn an_old_one_is_used_while_somebody_renews_it() {
    let rig = Rig::new(1);
    rig.gets(1).await;
    rig.at(3_299);
    rig.gets(1).await;
    assert_eq!(rig.asked(), 1);

    rig.at(3_301);
    let renewing = tokio::spawn({
        let access = rig.access.clone();
        async move { access.pass().await.map(|pass| pass.bearer) }
    });
    while rig.asked() == 1 {
        tokio::task::yield_now().await;
    }
    rig.gets(1).await;
    rig.grants.go.add_permits(1);
    assert_eq!(renewing.await.unwrap().unwrap(), "Bearer 2");
    rig.gets(2).await;
    assert_eq!(rig.asked(), 2);
}

#[tokio::test]
async fn an_old_one_is_used_while_none_is_to_be_had_and_not_beyond_its_end() {
    let rig = Rig::new(100);
    rig.gets(1).await;
    rig.fail(Some(away()));
    rig.at(3_301);
    for _ in 0..10 {
        rig.gets(1).await;
    }
    assert_eq!(rig.asked(), 2, "who failed is left alone for a while");
    rig.at(3_304);
    rig.gets(1).await;
    assert_eq!(rig.asked(), 3);

    rig.at(3_591);
    assert_eq!(rig.bearer().await, Err(away()));
    rig.fail(None);
    rig.at(3_594);
    rig.gets(5).await;
}

#[tokio::test]
async fn after_a_failure_nobody_asks_for_a_while() {
    let rig = Rig::new(100);
    let wrong = PushError::Misconfigured("no such account".into());
    rig.fail(Some(wrong.clone()));
    assert_eq!(rig.bearer().await, Err(wrong.clone()));
    rig.at(9);
    assert_eq!(rig.bearer().await, Err(wrong));
    assert_eq!(rig.asked(), 1);
    rig.fail(None);
    rig.at(10);
    rig.gets(2).await;
}

#[tokio::test]
async fn one_that_is_not_taken_is_renewed_once_however_many_find_out() {
    let rig = Rig::new(100);
    let old = rig.access.pass().await.unwrap();
    for _ in 0..10 {
        rig.access.refused(&old);
        rig.gets(2).await;
    }
}
