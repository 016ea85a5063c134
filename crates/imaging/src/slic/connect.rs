//! Pieces into regions: every region connected, none too small, numbers without gaps.

use super::Field;
use super::assign::NONE;
use std::collections::BTreeMap;

/// The entries that share a face with one, inside the mask.
fn neighbours(field: &Field, at: u32) -> impl Iterator<Item = u32> + '_ {
    let place = field.coordinates(at);
    let strides = [field.sizes[1] * field.sizes[2], field.sizes[2], 1];
    (0..6).filter_map(move |side| {
        let (axis, up) = (side / 2, side % 2 == 1);
        let inside = if up { place[axis] + 1 < field.sizes[axis] } else { place[axis] > 0 };
        let other = |()| if up { at as usize + strides[axis] } else { at as usize - strides[axis] };
        inside.then_some(()).map(other).filter(|&o| field.mask[o]).map(|o| o as u32)
    })
}

/// The connected pieces of equal label in the order of their first entries: the piece of every entry, and the pieces.
fn pieces(field: &Field, labels: &[u32]) -> (Vec<u32>, Vec<Vec<u32>>) {
    let mut piece = vec![NONE; labels.len()];
    let mut all = Vec::new();
    for &start in &field.inside {
        if piece[start as usize] != NONE {
            continue;
        }
        let number = all.len() as u32;
        piece[start as usize] = number;
        let mut entries = vec![start];
        let mut next = 0;
        while let Some(&at) = entries.get(next) {
            for o in neighbours(field, at) {
                if piece[o as usize] == NONE && labels[o as usize] == labels[at as usize] {
                    piece[o as usize] = number;
                    entries.push(o);
                }
            }
            next += 1;
        }
        all.push(entries);
    }
    (piece, all)
}

/// The piece that one touches by the most faces, the first of equals.
fn most_touched(field: &Field, piece: &[u32], entries: &[u32]) -> Option<u32> {
    let mut touched = BTreeMap::new();
    for &e in entries {
        for o in neighbours(field, e).map(|o| piece[o as usize]).filter(|&o| o != piece[e as usize]) {
            *touched.entry(o).or_insert(0u32) += 1;
        }
    }
    touched.into_iter().max_by_key(|&(number, faces)| (faces, std::cmp::Reverse(number))).map(|(n, _)| n)
}

/// Regions of at least `smallest` entries, numbered from 1 by their first entries; a piece of the mask that touches no
/// other stays however small it is. Smaller pieces join others, the smallest first.
pub(super) fn connected(field: &Field, labels: &[u32], smallest: usize) -> Vec<u32> {
    let (mut piece, mut all) = pieces(field, labels);
    let mut order: Vec<usize> = (0..all.len()).filter(|&p| all[p].len() < smallest).collect();
    order.sort_by_key(|&p| (all[p].len(), p));
    for small in order {
        if all[small].len() >= smallest {
            continue;
        }
        let Some(host) = most_touched(field, &piece, &all[small]) else { continue };
        let entries = std::mem::take(&mut all[small]);
        entries.iter().for_each(|&e| piece[e as usize] = host);
        all[host as usize].extend(entries);
    }
    let mut numbers = vec![0u32; all.len()];
    let mut next = 0;
    let mut out = vec![0; labels.len()];
    for &e in &field.inside {
        let number = &mut numbers[piece[e as usize] as usize];
        if *number == 0 {
            next += 1;
            *number = next;
        }
        out[e as usize] = *number;
    }
    out
}
