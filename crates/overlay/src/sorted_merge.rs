//! Merging sorted listings.

use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::names::Names;

/// Gives the names by which a listing is sorted.
pub(crate) trait Named<T> {
    /// How names compare.
    fn names(&self) -> &Names;

    /// The name of an item of one source.
    fn name<'n>(&'n self, source: usize, item: &'n T) -> &'n [u16];
}

fn compare<T>(named: &impl Named<T>, left: (usize, &T), right: (usize, &T)) -> Ordering {
    named
        .names()
        .compare(named.name(left.0, left.1), named.name(right.0, right.1))
}

/// One of the listings, and what it gives next.
#[derive(Debug)]
struct Source<I, T> {
    iter: I,
    head: Option<T>,
}

/// Merges sorted listings into groups of what is equal, keeping one item of each listing in memory.
#[derive(Debug)]
pub(crate) struct SortedMerge<I, T> {
    sources: Vec<Source<I, T>>,
    /// The sources that have a head, as a heap: none is less than its parent.
    heap: Vec<usize>,
}

impl<I, T, E> SortedMerge<I, T>
where
    I: Iterator<Item = Result<T, E>>,
{
    pub(crate) fn new(iters: impl Iterator<Item = Result<I, E>>, named: &impl Named<T>) -> Result<Self, E> {
        let mut merge = Self {
            sources: Vec::new(),
            heap: Vec::new(),
        };
        for iter in iters {
            let mut iter = iter?;
            let head = iter.next().transpose()?;
            let number = merge.sources.len();
            let has_head = head.is_some();
            merge.sources.push(Source { iter, head });
            if has_head {
                merge.heap.push(number);
                merge.rise(named);
            }
        }
        Ok(merge)
    }

    /// Puts the items that come next and are equal into `group`, each with the number of its source, in ascending order
    /// of the sources. Nothing is put there at the end.
    pub(crate) fn next_group(&mut self, group: &mut Vec<(usize, T)>, named: &impl Named<T>) -> Result<(), E> {
        group.clear();
        while let Some(number) = self.heap.first().copied() {
            let Some(source) = self.sources.get_mut(number) else {
                break;
            };
            let belongs = match (group.first(), &source.head) {
                (None, Some(_)) => true,
                (Some((first, item)), Some(head)) => compare(named, (*first, item), (number, head)) == Ordering::Equal,
                (_, None) => false,
            };
            if !belongs {
                break;
            }
            let next = source.iter.next().transpose()?;
            let ended = next.is_none();
            if let Some(item) = core::mem::replace(&mut source.head, next) {
                // A listing that gives a name twice against its promise still gives it once here.
                if group.last().is_none_or(|(last, _)| *last != number) {
                    group.push((number, item));
                }
            }
            if ended {
                self.heap.swap_remove(0);
            }
            self.sink(named);
        }
        Ok(())
    }

    fn less(&self, left: usize, right: usize, named: &impl Named<T>) -> bool {
        let head = |position: usize| {
            let number = *self.heap.get(position)?;
            Some((number, self.sources.get(number)?.head.as_ref()?))
        };
        match (head(left), head(right)) {
            (Some(a), Some(b)) => compare(named, a, b).then(a.0.cmp(&b.0)) == Ordering::Less,
            _ => false,
        }
    }

    /// Lets the last of the heap rise to its place.
    fn rise(&mut self, named: &impl Named<T>) {
        let mut at = self.heap.len().saturating_sub(1);
        while at > 0 {
            let parent = at.saturating_sub(1) / 2;
            if !self.less(at, parent, named) {
                break;
            }
            self.heap.swap(at, parent);
            at = parent;
        }
    }

    /// Lets the first of the heap sink to its place.
    fn sink(&mut self, named: &impl Named<T>) {
        let mut at = 0_usize;
        loop {
            let left = at.saturating_mul(2).saturating_add(1);
            let right = left.saturating_add(1);
            let mut least = at;
            for child in [left, right] {
                if child < self.heap.len() && self.less(child, least, named) {
                    least = child;
                }
            }
            if least == at {
                break;
            }
            self.heap.swap(at, least);
            at = least;
        }
    }
}
