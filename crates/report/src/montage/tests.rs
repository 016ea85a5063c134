//! Montages against each other and against known pixels.

use super::*;

const DIMS: [usize; 3] = [12, 10, 8];
const AFFINE: [[f64; 4]; 3] = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 4.0, 0.0]];

fn image(values: &[f32], dims: [usize; 3]) -> Result<Image<'_>> {
    Image::new(values, dims, [1, dims[0], dims[0] * dims[1]], AFFINE, true)
}

fn montage<'a>(rows: &'a [Row<'a>], lines: &'a [String]) -> Montage<'a> {
    let title = "A title that is much longer than the figure is wide, so that it has to be broken into lines, with words";
    let unit = "logit per voxel and a very long unit name";
    Montage { title, lines, rows, focus: [3, 4, 5], outline: None, unit, options: Options::default() }
}

#[test]
fn every_word_fits_on_the_sheet() -> Result<()> {
    let grey: Vec<f32> = (0..960).map(|n| n as f32).collect();
    let lines = ["words ".repeat(200), "x".repeat(900)];
    for size in [1e-35, 1e-4, 1.0, 1e5, -1e30] {
        let map: Vec<f32> = (0..960).map(|n| (n % 7) as f32 * size).collect();
        let (name, share) =
            ("a_modality_with_a_name_without_end_and_more_and_more", "share 12 % of everything there is");
        let row = Row { name, underlay: image(&grey, DIMS)?, map: image(&map, DIMS)?, share };
        let mut figure = montage(std::slice::from_ref(&row), &lines);
        assert_eq!(figure.compose()?.lost, 0, "{size}");
        figure.options.panel = Some(48);
        assert_eq!(figure.compose()?.lost, 0, "{size} in small panels");
    }
    Ok(())
}

#[test]
fn a_zero_map_leaves_the_image_as_it_is_and_says_so() -> Result<()> {
    let grey: Vec<f32> = (0..960).map(|n| n as f32).collect();
    let row = Row { name: "t1", underlay: image(&grey, DIMS)?, map: image(&[0.0; 960], DIMS)?, share: "" };
    let rows = [row];
    let figure = montage(&rows, &[]);
    let plan = figure.plan();
    assert!(plan.heading.iter().any(|(_, line)| line == sheet::ZERO));
    let (canvas, side) = (figure.compose()?, plan.style.side);
    let top = MARGIN + sheet::height(&plan.heading) + 8 + 2 * Font::Regular.line();
    for (x, y) in (0..side).flat_map(|x| (0..side).map(move |y| (x, y))) {
        let at = |part| canvas.get(plan.left(0, part) + x, top + y);
        assert_eq!(at(0), at(1));
    }
    Ok(())
}

#[test]
fn millimetres_are_kept() -> Result<()> {
    let grey = vec![1.0; 960];
    let rows = [Row { name: "t1", underlay: image(&grey, DIMS)?, map: image(&grey, DIMS)?, share: "" }];
    let figure = montage(&rows, &[]);
    let plan = figure.plan();
    // 8 slices of 4 mm are the longest extent: 32 mm fill the panel.
    assert!((plan.style.zoom * 32.0 - plan.style.side as f64).abs() < 1e-9);
    assert!((150..=256).contains(&plan.style.side));
    Ok(())
}

#[test]
fn missing_voxels_are_drawn_and_counted() -> Result<()> {
    let mut grey: Vec<f32> = (0..960).map(|n| n as f32).collect();
    let mut map = vec![f32::NAN; 960];
    (grey[7], map[9], map[10]) = (f32::NAN, 1.0, f32::INFINITY);
    let rows = [Row { name: "t1", underlay: image(&grey, DIMS)?, map: image(&map, DIMS)?, share: "" }];
    let figure = montage(&rows, &[]);
    assert_eq!(figure.compose()?.lost, 0);
    assert!(figure.plan().footer.iter().any(|(_, line)| line.starts_with("959 map voxels are not finite")));
    let grey = vec![f32::NAN; 960];
    let rows = [Row { name: "t1", underlay: image(&grey, DIMS)?, map: image(&map, DIMS)?, share: "" }];
    montage(&rows, &[]).render().map(|_| ())
}

#[test]
fn one_weak_row_stays_weak() -> Result<()> {
    let grey = vec![1.0; 960];
    let (strong, weak) = (vec![1.0; 960], vec![0.01; 960]);
    let row = |name, map| {
        Ok::<_, Error>(Row { name, underlay: image(&grey, DIMS)?, map: image(map, DIMS)?, share: "" })
    };
    let rows = [row("t1", &strong)?, row("t2", &weak)?];
    let figure = montage(&rows, &[]);
    assert_eq!(figure.plan().style.scale.limit, 1.0);
    assert_eq!(figure.plan().style.scale.paint(0.01).1, 0.01);
    Ok(())
}

#[test]
fn wrong_grids_are_refused_with_one_sentence() -> Result<()> {
    let values = vec![1.0; 960];
    let row =
        Row { name: "t1", underlay: image(&values, DIMS)?, map: image(&values, [10, 12, 8])?, share: "" };
    let rows = [row];
    let error = montage(&rows, &[]).render().err().map(|error| error.to_string()).unwrap_or_default();
    let hint = "t1: the image has [12, 10, 8] voxels, the map is of [10, 12, 8] voxels; resample it to the image first";
    assert_eq!(error, hint);
    assert!(montage(&[], &[]).render().is_err());
    let rows = [Row { map: row.underlay, ..row }];
    assert!(Montage { focus: [12, 0, 0], ..montage(&rows, &[]) }.render().is_err());
    Ok(())
}

#[test]
fn a_flat_picture_has_one_pair_of_panels() -> Result<()> {
    let grey: Vec<f32> = (0..120).map(|n| n as f32).collect();
    let rows = [Row {
        name: "x-ray",
        underlay: image(&grey, [12, 10, 1])?,
        map: image(&grey, [12, 10, 1])?,
        share: "",
    }];
    let figure = Montage { focus: [3, 4, 0], ..montage(&rows, &[]) };
    assert_eq!(figure.plan().planes, [Plane::Axial]);
    assert_eq!(figure.compose()?.lost, 0);
    Ok(())
}
