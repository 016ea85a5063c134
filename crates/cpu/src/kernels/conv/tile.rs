//! The loop that everything else feeds: products of a few channels of weights with a few vectors of data, summed in
//! registers.

use crate::simd::Simd;

/// Channels whose sums are kept in registers together.
pub const CHANNELS: usize = 4;
/// The most vectors of a tile.
const MOST: usize = 6;
/// Numbers behind buffers that vectors may run over: a tile of the widest instruction set.
pub const SLACK: usize = MOST * 16;

/// Where the terms of a tile are: pairs of offsets, of `J` vectors in the data and of [`CHANNELS`] numbers in the weights.
pub trait Terms: Iterator<Item = (usize, usize)> + Clone {}
impl<T: Iterator<Item = (usize, usize)> + Clone> Terms for T {}

/// What a tile is made of and where it goes.
#[derive(Clone, Copy)]
pub struct Operands {
    /// The data of the first vector.
    pub data: *const f32,
    /// The weights.
    pub weights: *const f32,
    /// How many of the channels there are; the sums of others are left as they were.
    pub channels: usize,
    /// What the sums of each channel begin with, unless with what is there.
    pub start: Option<[f32; CHANNELS]>,
    /// The sums, one row for each channel.
    pub sums: *mut f32,
    /// Numbers between rows of sums.
    pub pitch: usize,
}

/// Sums of `J` vectors of the first `C` channels of each of `B` blocks, which read the same data.
///
/// # Safety
/// The instruction set is there; every term can be read, `J` vectors of data and `C` weights of each block; the rows of sums
/// have room for `J` vectors.
#[inline(always)]
unsafe fn tile<S: Simd, const B: usize, const C: usize, const J: usize>(o: [Operands; B], terms: impl Terms) {
    // SAFETY: as the caller says.
    unsafe {
        let mut sum = [[[S::splat(0.0); J]; C]; B];
        for b in 0..B {
            for c in 0..C {
                for j in 0..J {
                    sum[b][c][j] = match o[b].start {
                        Some(start) => S::splat(start[c]),
                        None => S::load(o[b].sums.add(c * o[b].pitch + j * S::LANES)),
                    };
                }
            }
        }
        for (data, weights) in terms {
            let mut w = [o[0].weights; B];
            for b in 0..B {
                w[b] = o[b].weights.add(weights);
            }
            S::add_products_of_blocks(&mut sum, o[0].data.add(data), w);
        }
        for b in 0..B {
            for c in 0..C {
                for j in 0..J {
                    S::store(o[b].sums.add(c * o[b].pitch + j * S::LANES), sum[b][c][j]);
                }
            }
        }
    }
}

/// Sums of `vectors` vectors of `blocks` blocks of channels on the same data, in tiles of as many as registers hold, tile by tile:
/// what one block has read is near when the next one reads it.
///
/// # Safety
/// As for one tile of all vectors, for each of the operands.
#[inline(always)]
pub unsafe fn tiles_of_blocks<S: Simd>(
    vectors: usize,
    blocks: usize,
    operands: impl Fn(usize) -> Operands,
    terms: impl Terms,
) {
    // Registers hold more vectors of a single channel, whose few sums would wait for themselves.
    let most = match blocks {
        1 if operands(0).channels == 1 => MOST,
        2.. if S::PAIR > 0 => S::PAIR,
        _ => S::TILE,
    };
    let mut done = 0;
    while done < vectors {
        let n = share(vectors - done, most);
        let mut block = 0;
        while block < blocks {
            let (o, terms) = (operands(block).behind(done * S::LANES), terms.clone());
            let paired = S::PAIR > 0 && block + 1 < blocks;
            let next = if paired { operands(block + 1).behind(done * S::LANES) } else { o };
            // SAFETY: as the caller says.
            unsafe {
                if paired && next.channels >= CHANNELS {
                    two::<S>(n, [o, next], terms);
                    block += 2;
                    continue;
                }
                match o.channels {
                    1 => one::<S, 1>(n, o, terms),
                    2 => one::<S, 2>(n, o, terms),
                    3 => one::<S, 3>(n, o, terms),
                    _ => one::<S, CHANNELS>(n, o, terms),
                }
            }
            block += 1;
        }
        done += n;
    }
}

impl Operands {
    /// The operands of the tile that begins `lanes` numbers behind the first.
    fn behind(self, lanes: usize) -> Self {
        Self { data: self.data.wrapping_add(lanes), sums: self.sums.wrapping_add(lanes), ..self }
    }
}

/// Vectors of the next tile where `left` are left. Equal shares: a last tile of one vector would wait for its own sums.
fn share(left: usize, most: usize) -> usize {
    left.div_ceil(left.div_ceil(most))
}

/// A tile of `n` vectors of `C` channels.
#[inline(always)]
unsafe fn one<S: Simd, const C: usize>(n: usize, o: Operands, terms: impl Terms) {
    let most = if C == 1 { MOST } else { S::TILE };
    // SAFETY: as the caller says.
    unsafe {
        match n {
            1 => tile::<S, 1, C, 1>([o], terms),
            2 => tile::<S, 1, C, 2>([o], terms),
            3 if most >= 3 => tile::<S, 1, C, 3>([o], terms),
            4 if most >= 4 => tile::<S, 1, C, 4>([o], terms),
            5 if most >= 5 => tile::<S, 1, C, 5>([o], terms),
            _ => tile::<S, 1, C, MOST>([o], terms),
        }
    }
}

/// Tiles of `n` vectors of two blocks, at most [`Simd::PAIR`].
#[inline(always)]
unsafe fn two<S: Simd>(n: usize, o: [Operands; 2], terms: impl Terms) {
    // SAFETY: as the caller says.
    unsafe {
        match n {
            1 => tile::<S, 2, CHANNELS, 1>(o, terms),
            2 => tile::<S, 2, CHANNELS, 2>(o, terms),
            _ => tile::<S, 2, CHANNELS, 3>(o, terms),
        }
    }
}
