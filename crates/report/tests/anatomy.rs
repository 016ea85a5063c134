//! A block on one side of the patient must be on that side of every picture, in whatever order the file stores it.
#![allow(clippy::unwrap_used)]

use voxplain_report::{Column, Display, Image, Modality, Montage, Options, Picture, Row, SummarySheet};

/// Extents along right, front, top in voxels, and voxel distances in mm: all different on purpose.
const DIMS: [usize; 3] = [20, 24, 16];
const SPACING: [f64; 3] = [1.0, 1.25, 2.0];

/// A phantom stored in some axis order.
struct Stored {
    image: Vec<f32>,
    map: Vec<f32>,
    dims: [usize; 3],
    affine: [[f64; 4]; 3],
    focus: [usize; 3],
}

/// Grey levels and signed map at a place given along right, front, top. The bright block is right, front, top; the map
/// is positive in it and negative at the mirrored place.
fn phantom([r, a, s]: [usize; 3]) -> (f32, f32) {
    let block = |r: usize| (14..18).contains(&r) && (15..20).contains(&a) && (9..13).contains(&s);
    let grey = 10.0 + (r * 3 + a * 5 + s * 7) as f32 % 11.0 + if block(r) { 200.0 } else { 0.0 };
    (
        grey,
        if block(r) {
            1.0
        } else if block(19 - r) {
            -1.0
        } else {
            0.0
        },
    )
}

/// The phantom with the file axes named by `codes`, for example `LIA`.
fn stored(codes: &str) -> Stored {
    let axes: Vec<(usize, bool)> =
        codes.chars().map(|c| ("RLAPSI".find(c).unwrap() / 2, "LPI".contains(c))).collect();
    let dims = [0, 1, 2].map(|n| DIMS[axes[n].0]);
    let mut affine = [[0.0; 4]; 3];
    let mut focus = [0; 3];
    for (n, &(world, turned)) in axes.iter().enumerate() {
        affine[world][n] = if turned { -SPACING[world] } else { SPACING[world] };
        affine[world][3] = if turned { SPACING[world] * (DIMS[world] - 1) as f64 } else { 0.0 };
        let place = [16, 17, 11][world];
        focus[n] = if turned { DIMS[world] - 1 - place } else { place };
    }
    let (mut image, mut map) = (Vec::new(), Vec::new());
    for n in 0..DIMS.iter().product() {
        let voxel = [n % dims[0], n / dims[0] % dims[1], n / (dims[0] * dims[1])];
        let mut place = [0; 3];
        for (axis, &(world, turned)) in axes.iter().enumerate() {
            place[world] = if turned { dims[axis] - 1 - voxel[axis] } else { voxel[axis] };
        }
        let (grey, value) = phantom(place);
        image.push(grey);
        map.push(value);
    }
    Stored { image, map, dims, affine, focus }
}

impl Stored {
    fn view<'a>(&self, values: &'a [f32], oriented: bool) -> Image<'a> {
        Image::new(values, self.dims, [1, self.dims[0], self.dims[0] * self.dims[1]], self.affine, oriented)
            .unwrap()
    }

    fn montage(&self, display: Display, oriented: bool) -> Picture {
        let row = Row {
            name: "flair",
            underlay: self.view(&self.image, oriented),
            map: self.view(&self.map, oriented),
            share: "share 100 %",
        };
        let options = Options { display, ..Options::default() };
        let rows = [row];
        let outline = Some(self.view(&self.map, oriented));
        let (title, unit) = ("phantom", "logit per voxel");
        Montage { title, lines: &[], rows: &rows, focus: self.focus, outline, unit, options }
            .render()
            .unwrap()
    }
}

/// The picture without the words under it, which name the voxel in the order of the file.
fn panels(picture: &Picture) -> &[u8] {
    &picture.rgb[..picture.width * (picture.height - 140) * 3]
}

/// Mean column of the strongly red and of the strongly blue pixels left of the colour bar, in the first two panels.
fn columns(picture: &Picture) -> (f64, f64) {
    let (mut red, mut blue) = (Vec::new(), Vec::new());
    for (n, p) in picture.rgb.chunks(3).enumerate() {
        let x = n % picture.width;
        if x < 16 + 128 + 400 {
            let (r, b) = (i32::from(p[0]), i32::from(p[2]));
            if r - b > 120 && p[1] < 90 {
                red.push(x as f64);
            } else if b - r > 120 && p[1] < 110 {
                blue.push(x as f64);
            }
        }
    }
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    assert!(red.len() > 50 && blue.len() > 50, "{} red and {} blue pixels", red.len(), blue.len());
    (mean(&red), mean(&blue))
}

#[test]
fn storage_order_does_not_show() {
    let reference = stored("RAS").montage(Display::Radiological, true);
    for codes in ["LAS", "LPS", "LIA", "AIL", "PSR", "SRP"] {
        let picture = stored(codes).montage(Display::Radiological, true);
        assert_eq!((picture.width, picture.height), (reference.width, reference.height), "{codes}");
        assert!(panels(&picture) == panels(&reference), "{codes} differs from RAS");
    }
}

#[test]
fn the_right_of_the_patient_is_on_the_announced_side() {
    for codes in ["RAS", "LAS", "LPS", "LIA"] {
        let (right, left) = columns(&stored(codes).montage(Display::Radiological, true));
        assert!(right < left, "{codes}: radiological");
        let (right, left) = columns(&stored(codes).montage(Display::Neurological, true));
        assert!(right > left, "{codes}: neurological");
    }
}

#[test]
fn an_oblique_volume_keeps_its_side_and_says_so() {
    let straight = stored("LPS").montage(Display::Radiological, true);
    let mut tilted = stored("LPS");
    let (sin, cos) = 20f64.to_radians().sin_cos();
    for n in 0..4 {
        let (x, y) = (tilted.affine[0][n], tilted.affine[1][n]);
        tilted.affine[0][n] = cos * x - sin * y;
        tilted.affine[1][n] = sin * x + cos * y;
    }
    let picture = tilted.montage(Display::Radiological, true);
    let (right, left) = columns(&picture);
    assert!(right < left);
    assert_ne!(picture.rgb, straight.rgb, "the words about the tilt are missing");
}

#[test]
fn without_orientation_nothing_is_mirrored_or_named() {
    let radiological = stored("RAS").montage(Display::Radiological, false);
    let neurological = stored("RAS").montage(Display::Neurological, false);
    assert!(radiological == neurological);
    assert!(panels(&radiological) != panels(&stored("RAS").montage(Display::Neurological, true)));
}

#[test]
fn the_summary_sheet_agrees_across_storage_orders() {
    let sheet = |codes: &str| {
        let stored = stored(codes);
        let modalities = [Modality { name: "flair", underlay: stored.view(&stored.image, true) }];
        let maps = vec![Some(stored.view(&stored.map, true))];
        let methods = [Column { name: "Gradient", maps }, Column { name: "none", maps: vec![None] }];
        let (focus, options) = (stored.focus, Options::default());
        let sheet = SummarySheet {
            title: "phantom",
            lines: &[],
            modalities: &modalities,
            methods: &methods,
            focus,
            outline: None,
            options,
        };
        sheet.render().unwrap()
    };
    assert!(sheet("RAS") == sheet("LIA"));
    assert!(sheet("RAS") == sheet("LPS"));
}

#[test]
fn a_picture_goes_through_png_unchanged() {
    let picture = stored("RAS").montage(Display::Radiological, true);
    let path = std::env::temp_dir().join(format!("voxplain-report-{}.png", std::process::id()));
    let (width, height) = (picture.width as u32, picture.height as u32);
    let mut encoder = png::Encoder::new(std::fs::File::create(&path).unwrap(), width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&picture.rgb).unwrap();
    let file = std::io::BufReader::new(std::fs::File::open(&path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut rgb = vec![0; picture.rgb.len()];
    reader.next_frame(&mut rgb).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(rgb == picture.rgb);
}
