use std::collections::BTreeMap;

use crate::stream::Stream;
use crate::stream_id::StreamId;

/// Places in a set: 64 bytes, a line of the CPU's cache.
const SET: usize = 4;
/// Room for so many streams is kept when they are gone.
const FEW: usize = 64;
/// Stands where no stream is; no stream has this id.
const FREE: Place = Place {
    id: StreamId::new(0),
    at: usize::MAX,
};

/// The streams of a session by id. Finding, adding and removing one takes as long beside ten
/// thousand others as beside ten.
#[derive(Default)]
pub(crate) struct Streams {
    /// In no order, without gaps.
    streams: Vec<(StreamId, Stream)>,
    places: Places,
}

impl Streams {
    pub(crate) fn len(&self) -> usize {
        self.streams.len()
    }

    pub(crate) fn contains(&self, id: StreamId) -> bool {
        self.places.find(id).is_some()
    }

    pub(crate) fn get(&self, id: StreamId) -> Option<&Stream> {
        let at = self.places.find(id)?;
        self.streams.get(at).map(|(_, stream)| stream)
    }

    pub(crate) fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        let at = self.places.find(id)?;
        self.streams.get_mut(at).map(|(_, stream)| stream)
    }

    /// Adds a stream that is not there yet, with an id above 0.
    pub(crate) fn insert(&mut self, id: StreamId, stream: Stream) {
        let at = self.streams.len();
        self.streams.push((id, stream));
        if self.places.suit(self.streams.len()) {
            self.places.put(id, at);
        } else {
            self.places = Places::of(&self.streams);
        }
    }

    pub(crate) fn remove(&mut self, id: StreamId) {
        let Some(at) = self.places.take(id) else {
            return;
        };
        self.streams.swap_remove(at);
        if let Some((moved, _)) = self.streams.get(at) {
            self.places.moved(*moved, at);
        }
        let (len, capacity) = (self.streams.len(), self.streams.capacity());
        if capacity > FEW && len < capacity / 4 {
            self.streams.shrink_to(len * 2);
            self.places = Places::of(&self.streams);
        }
    }
}

/// Where each stream is.
///
/// The low bits of an id name a set of places. Both sides count their ids up, so that streams are
/// spread evenly over the sets. A peer that chooses ids that meet in one set gains nothing: what a
/// set has no place for is in a tree.
#[derive(Default)]
struct Places {
    /// A power of two of them, or none.
    sets: Vec<[Place; SET]>,
    crowded: BTreeMap<StreamId, usize>,
}

#[derive(Clone, Copy)]
struct Place {
    id: StreamId,
    at: usize,
}

impl Places {
    fn of(streams: &[(StreamId, Stream)]) -> Self {
        let sets = (streams.len() * 2 / SET + 1).next_power_of_two();
        let mut places = Self {
            sets: vec![[FREE; SET]; sets],
            crowded: BTreeMap::new(),
        };
        for (at, (id, _)) in streams.iter().enumerate() {
            places.put(*id, at);
        }
        places
    }

    /// Whether at most half of the places are taken by so many streams.
    fn suit(&self, streams: usize) -> bool {
        streams <= self.sets.len() * SET / 2
    }

    fn set_of(&self, id: StreamId) -> usize {
        // The lowest bit says only whose it is.
        (id.number() / 2) as usize & self.sets.len().wrapping_sub(1)
    }

    fn find(&self, id: StreamId) -> Option<usize> {
        let set = self.sets.get(self.set_of(id))?;
        match set.iter().find(|place| place.id == id) {
            Some(place) => (id != FREE.id).then_some(place.at),
            None => self.crowded.get(&id).copied(),
        }
    }

    fn put(&mut self, id: StreamId, at: usize) {
        let of = self.set_of(id);
        let mut set = self.sets.get_mut(of).into_iter().flatten();
        match set.find(|place| place.id == FREE.id) {
            Some(place) => *place = Place { id, at },
            None => {
                self.crowded.insert(id, at);
            }
        }
    }

    fn moved(&mut self, id: StreamId, to: usize) {
        let of = self.set_of(id);
        let mut set = self.sets.get_mut(of).into_iter().flatten();
        match set.find(|place| place.id == id) {
            Some(place) => place.at = to,
            None => {
                self.crowded.insert(id, to);
            }
        }
    }

    fn take(&mut self, id: StreamId) -> Option<usize> {
        let of = self.set_of(id);
        let mut set = self.sets.get_mut(of)?.iter_mut();
        match set.find(|place| place.id == id) {
            Some(place) => (id != FREE.id).then(|| std::mem::replace(place, FREE).at),
            None => self.crowded.remove(&id),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u32) -> StreamId {
        StreamId::new(number)
    }

    /// A stream that can be told from others.
    fn marked(number: u32) -> Stream {
        Stream {
            burst: number as usize,
            ..Stream::default()
        }
    }

    fn open(streams: &mut Streams, number: u32) {
        streams.insert(id(number), marked(number));
    }

    #[test]
    fn ids_that_count_up_never_share_a_place_however_many_are_open() {
        let mut streams = Streams::default();
        // Both sides open, and each keeps every stream that is open at the end.
        for number in 2..20_002 {
            open(&mut streams, number);
            assert!(streams.places.crowded.is_empty(), "{number}");
        }
        let memory = streams.places.sets.len() * SET * size_of::<Place>();
        assert!(memory <= 128 * streams.len(), "{memory} bytes");
        // Beside these, short ones come and go.
        for number in (20_003..200_003).step_by(2) {
            open(&mut streams, number);
            assert!(streams.places.crowded.is_empty(), "{number}");
            streams.remove(id(number));
        }
        assert_eq!(streams.len(), 20_000);
    }

    #[test]
    fn ids_that_meet_in_one_set_are_all_found() {
        let mut streams = Streams::default();
        let numbers: Vec<u32> = (1..1000).map(|at| at << 16).collect();
        for number in &numbers {
            open(&mut streams, *number);
        }
        assert_eq!(streams.places.crowded.len(), numbers.len() - SET);
        for number in &numbers {
            assert_eq!(
                streams.get(id(*number)).map(|stream| stream.burst),
                Some(*number as usize)
            );
            streams.remove(id(*number));
            assert!(!streams.contains(id(*number)));
        }
        assert_eq!(streams.len(), 0);
        assert!(streams.places.crowded.is_empty());
    }

    #[test]
    fn number_0_is_no_stream() {
        let mut streams = Streams::default();
        assert!(!streams.contains(id(0)));
        open(&mut streams, 2);
        assert!(!streams.contains(id(0)));
        assert!(streams.get_mut(id(0)).is_none());
        streams.remove(id(0));
        assert_eq!(streams.len(), 1);
    }

    #[test]
    fn room_is_given_back_when_most_streams_are_gone() {
        let mut streams = Streams::default();
        for number in 1..=10_000 {
            open(&mut streams, number);
        }
        // Not the last ones: what stays lies anywhere.
        for number in 11..=10_000 {
            streams.remove(id(number));
        }
        assert!(streams.streams.capacity() <= FEW);
        assert!(streams.places.sets.len() <= FEW);
        for number in 1..=10 {
            assert!(streams.contains(id(number)));
        }
    }

    proptest! {
        #[test]
        fn it_is_a_map(
            steps in prop::collection::vec((any::<bool>(), 1_u32..200, 0_u32..3), 1..2000),
        ) {
            let mut streams = Streams::default();
            let mut model = BTreeMap::new();
            for (add, low, high) in steps {
                let number = low | high << 20;
                if !add {
                    streams.remove(id(number));
                    model.remove(&number);
                } else if !streams.contains(id(number)) {
                    open(&mut streams, number);
                    prop_assert!(model.insert(number, ()).is_none());
                }
                prop_assert_eq!(streams.len(), model.len());
            }
            for number in (0..3).flat_map(|high| (1..200).map(move |low| low | high << 20)) {
                let expected = model.contains_key(&number).then_some(number as usize);
                prop_assert_eq!(streams.get(id(number)).map(|stream| stream.burst), expected);
                prop_assert_eq!(streams.get_mut(id(number)).map(|stream| stream.burst), expected);
            }
        }
    }
}
