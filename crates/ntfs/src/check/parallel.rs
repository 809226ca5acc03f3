//! Work on several threads whose outcomes come back in order.

use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Most threads: reading is the limit beyond.
const MOST_THREADS: usize = 8;
/// Items that one thread has in hand or waiting.
const DEPTH: usize = 2;

/// Does `work` for every item, on as many threads as the machine runs at once, and hands the outcomes to `take` in the
/// order of the items. Memory holds a few items and outcomes for each thread. An error of `take` ends the work.
pub(super) fn in_order<I, O, E>(
    items: impl Iterator<Item = I>,
    work: impl Fn(I) -> O + Sync,
    mut take: impl FnMut(O) -> Result<(), E>,
) -> Result<(), E>
where
    I: Send,
    O: Send,
{
    let mut items = items.peekable();
    let Some(first) = items.next() else {
        return Ok(());
    };
    let threads = thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(MOST_THREADS);
    if items.peek().is_none() || threads == 1 {
        return std::iter::once(first)
            .chain(items)
            .try_for_each(|item| take(work(item)));
    }
    thread::scope(|scope| {
        let lanes: Vec<(SyncSender<I>, Receiver<O>)> = (0..threads)
            .map(|_| {
                let (item_sender, item_receiver) = sync_channel(DEPTH);
                let (outcome_sender, outcome_receiver) = sync_channel(DEPTH);
                let work = &work;
                scope.spawn(move || {
                    // A closed channel says that nobody wants more.
                    while let Ok(item) = item_receiver.recv() {
                        if outcome_sender.send(work(item)).is_err() {
                            break;
                        }
                    }
                });
                (item_sender, outcome_receiver)
            })
            .collect();
        // Item n goes to lane n % threads and comes back there, so the order keeps itself.
        let mut taken = 0;
        let mut sent = 0;
        for item in std::iter::once(first).chain(items) {
            if sent - taken == threads * DEPTH {
                let Ok(outcome) = lanes[taken % threads].1.recv() else {
                    return Ok(());
                };
                take(outcome)?;
                taken += 1;
            }
            if lanes[sent % threads].0.send(item).is_err() {
                return Ok(());
            }
            sent += 1;
        }
        while taken < sent {
            let Ok(outcome) = lanes[taken % threads].1.recv() else {
                return Ok(());
            };
            take(outcome)?;
            taken += 1;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_come_in_order() {
        for count in [0, 1, 2, 1000] {
            let mut seen = Vec::new();
            let done: Result<(), ()> = in_order(
                0..count,
                |item: u64| item * 3,
                |outcome| {
                    seen.push(outcome);
                    Ok(())
                },
            );
            assert_eq!(done, Ok(()));
            assert_eq!(seen, (0..count).map(|item| item * 3).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_error_ends_the_work() {
        let done = in_order(
            0..u64::MAX,
            |item| item,
            |outcome| if outcome < 50 { Ok(()) } else { Err(outcome) },
        );
        assert_eq!(done, Err(50));
    }
}
