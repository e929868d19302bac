//! Starts children from a thread of its own that lives as long as this process.
//!
//! The kernel sends a child its parent-death signal when the *thread* that started it ends. Threads of the runtime
//! come and go (`block_in_place`, `spawn_blocking`), so none of them may be that thread.

use super::{ChildSettings, group::Group};
use nix::unistd::Pid;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError, mpsc};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// The three standard streams of a child.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) input: ChildStdin,
    pub(super) output: ChildStdout,
    pub(super) stderr: ChildStderr,
}

type Started = io::Result<(Group, Pipes)>;

/// A child that was ordered; dropping it kills the child.
pub(super) type Ordered = oneshot::Receiver<Started>;

/// A child to start, the runtime that shall watch it, and who waits for it.
struct Order {
    command: Command,
    runtime: Handle,
    answer: oneshot::Sender<Started>,
}

static STARTER: Mutex<Option<mpsc::Sender<Order>>> = Mutex::new(None);

/// Starts a child with an empty environment, in a group of its own, with pipes for its three standard streams.
///
/// # Errors
/// What the operating system says.
pub(super) async fn start(settings: &ChildSettings) -> Started {
    arrival(order(settings)?).await
}

/// Asks for a child without waiting for it.
///
/// # Errors
/// When no thread can be started.
pub(super) fn order(settings: &ChildSettings) -> io::Result<Ordered> {
    let (answer, ordered) = oneshot::channel();
    place(Order {
        command: command(settings),
        runtime: Handle::current(),
        answer,
    })?;
    Ok(ordered)
}

/// Waits for a child that was ordered.
///
/// # Errors
/// What the operating system says.
pub(super) async fn arrival(ordered: Ordered) -> Started {
    ordered.await.map_err(|_| io::Error::other("the starter died"))?
}

#[expect(clippy::disallowed_methods, reason = "this is the one place")]
fn command(settings: &ChildSettings) -> Command {
    let mut command = Command::new(&settings.program);
    command
        .args(&settings.args)
        .env_clear()
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Hands an order to the thread, which is started when there is none.
fn place(mut order: Order) -> io::Result<()> {
    let mut starter = STARTER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(orders) = starter.as_ref() {
        match orders.send(order) {
            Ok(()) => return Ok(()),
            Err(mpsc::SendError(returned)) => order = returned,
        }
    }
    let (orders, inbox) = mpsc::channel::<Order>();
    std::thread::Builder::new()
        .name("child-starter".into())
        .spawn(move || work_off(inbox))?;
    let sent = orders.send(order);
    *starter = Some(orders);
    sent.map_err(|_| io::Error::other("the starter died"))
}

/// Fulfills orders until nobody can send more. A panic costs its order only: would the thread end, the kernel would kill
/// every child that it has started.
fn work_off(inbox: mpsc::Receiver<Order>) {
    for order in inbox {
        // What panics answers nobody, and who waits is told that the starter died.
        let _ = catch_unwind(AssertUnwindSafe(|| fulfill(order)));
    }
}

/// When nobody waits any more, the answer is dropped, and the child with it.
fn fulfill(mut order: Order) {
    let _entered = order.runtime.enter();
    let _ = order.answer.send(spawn(&mut order.command));
}

fn spawn(command: &mut Command) -> Started {
    let mut leader = command.spawn()?;
    let pipes = (leader.stdin.take(), leader.stdout.take(), leader.stderr.take());
    let id = leader.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let (Some(id), (Some(input), Some(output), Some(stderr))) = (id, pipes) else {
        return Err(io::Error::other("a child without pipes"));
    };
    Ok((Group::new(leader, id), Pipes { input, output, stderr }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;
    use tokio::runtime::Builder;

    #[test]
    fn a_panic_costs_one_order_and_not_the_thread() {
        // Without a driver of signals to start a child panics.
        let bare = Builder::new_current_thread().build().unwrap();
        let whole = Builder::new_current_thread().enable_all().build().unwrap();
        let settings = ChildSettings {
            args: Vec::new(),
            ..ChildSettings::new("/bin/cat".into())
        };
        let (orders, inbox) = mpsc::channel();
        let order = |runtime: &Handle| {
            let (answer, ordered) = oneshot::channel();
            let order = Order {
                command: command(&settings),
                runtime: runtime.clone(),
                answer,
            };
            orders.send(order).unwrap();
            ordered
        };
        let (mut panics, mut starts) = (order(bare.handle()), order(whole.handle()));
        drop(orders);
        work_off(inbox);
        assert!(panics.try_recv().is_err());
        starts.try_recv().unwrap().unwrap();
    }
}
