//! Ends, empty requests and refusals.

use numeric::ndarray::Array2;
use numeric::{Brownian, BrownianCursor, Error, Node, Noise, Scratch};

use super::between::{between, values};
use super::levy_areas::levy;
use super::pair;

#[test]
fn ends_of_a_cell_are_exact() {
    let lengths = [0.1, 1e-300, 3.0];
    let brownian = Brownian::new(Noise::new(1), &lengths).unwrap();
    for (cell, length) in lengths.into_iter().enumerate() {
        let cell = cell as u64;
        assert_eq!(brownian.tick(cell, 0.0).unwrap(), 0);
        assert_eq!(brownian.tick(cell, length).unwrap(), Brownian::TICKS);
        assert_eq!((brownian.elapsed(cell, 0), brownian.elapsed(cell, Brownian::TICKS)), (0.0, length));
        assert_eq!(brownian.tick(cell, length / 4.0).unwrap(), Brownian::TICKS / 4);
        for outside in [-1e-9 * length, length * (1.0 + f64::EPSILON), f64::NAN, f64::INFINITY] {
            let refused = brownian.tick(cell, outside).unwrap_err();
            assert!(matches!(refused, Error::Domain { parameter: "elapsed", .. }), "{refused}");
        }
        assert!(between::<f64>(&brownian, &[4], cell, 7..7, 2)[0].iter().all(|&w| w == 0.0));
        let last = between::<f64>(&brownian, &[4], cell, Brownian::TICKS - 1..Brownian::TICKS, 2);
        let mut w = Array2::zeros((1, 2));
        brownian.increments_into(&[4], Node { cell, level: 40, index: (1 << 40) - 1 }, &mut w);
        assert_eq!(last[0], w);
    }
}

#[test]
fn cursors_are_auto_traits() {
    fn assert_auto<T: Send + Sync + Unpin>() {}
    assert_auto::<BrownianCursor<'static, f32>>();
}

#[test]
fn no_rows_and_no_coordinates_are_answered() {
    let brownian = Brownian::with_area(Noise::new(0), &[1.0]).unwrap();
    assert_eq!(between::<f64>(&brownian, &[], 0, 5..500, 3)[1].dim(), (0, 3));
    assert_eq!(between::<f64>(&brownian, &[1, 2], 0, 5..500, 0)[1].dim(), (2, 0));
    assert_eq!(levy(&brownian, &[], Node::whole(0), 3, 3).dim(), (0, 3));
    assert_eq!(levy(&brownian, &[1], Node::whole(0), 3, 0).dim(), (1, 0));
    let plain = Brownian::new(Noise::new(0), &[1.0]).unwrap();
    assert_eq!(values::<f32>(&plain, &[], 0, &[], 3, 3).dim(), (0, 3));
    assert_eq!(values::<f32>(&plain, &[1, 2], 0, &[5, 6], 3, 0).dim(), (2, 0));
}

#[test]
#[should_panic(expected = "the tree has no areas")]
fn areas_of_a_plain_tree() {
    let _ = pair::<f64>(&Brownian::new(Noise::new(0), &[1.0]).unwrap(), &[0], Node::whole(0), 1);
}

#[test]
#[should_panic(expected = "a tree with areas is split by")]
fn plain_split_of_a_tree_with_areas() {
    let [w, mut l, mut r] = [(); 3].map(|()| Array2::<f64>::zeros((1, 1)));
    Brownian::with_area(Noise::new(0), &[1.0]).unwrap().split_into(&[0], Node::whole(0), &w, &mut l, &mut r);
}

#[test]
#[should_panic(expected = "is no interval of the ticks of a cell")]
fn ticks_beyond_the_cell() {
    let brownian = Brownian::new(Noise::new(0), &[1.0]).unwrap();
    let _ = between::<f64>(&brownian, &[0], 0, 0..Brownian::TICKS + 1, 1);
}

#[test]
#[should_panic(expected = "5..4 is no interval of the ticks of a cell")]
#[expect(clippy::reversed_empty_ranges, reason = "the mistake under test")]
fn ticks_in_the_wrong_order() {
    let _ = between::<f64>(&Brownian::new(Noise::new(0), &[1.0]).unwrap(), &[0], 0, 5..4, 1);
}

#[test]
#[should_panic(expected = "is not in the tree of 2 cells")]
fn an_interval_of_a_cell_that_is_none() {
    let _ = between::<f64>(&Brownian::new(Noise::new(0), &[1.0, 2.0]).unwrap(), &[0], 2, 0..1, 1);
}

#[test]
#[should_panic(expected = "is not in the tree of 1 cells")]
fn a_tick_of_a_cell_that_is_none() {
    let _ = Brownian::new(Noise::new(0), &[1.0]).unwrap().tick(u64::MAX, 0.5);
}

#[test]
#[should_panic(expected = "tick 1099511627777 is outside of the cell")]
fn the_time_of_a_tick_beyond_the_cell() {
    let _ = Brownian::new(Noise::new(0), &[1.0]).unwrap().elapsed(0, Brownian::TICKS + 1);
}

#[test]
#[should_panic(expected = "is not in the tree of 1 cells")]
fn a_node_below_the_deepest_level() {
    let node = Node { cell: 0, level: Node::MAX_LEVEL + 1, index: 0 };
    let _ = Brownian::new(Noise::new(0), &[1.0]).unwrap().length(node);
}

#[test]
#[should_panic(expected = "a tick is outside of the cell")]
fn a_value_at_a_tick_beyond_the_cell() {
    let brownian = Brownian::new(Noise::new(0), &[1.0]).unwrap();
    let _ = values::<f64>(&brownian, &[0, 1], 0, &[3, Brownian::TICKS + 1], 40, 1);
}

#[test]
#[should_panic(expected = "level 41 is below the deepest one")]
fn a_value_to_below_the_deepest_level() {
    let _ = values::<f64>(&Brownian::new(Noise::new(0), &[1.0]).unwrap(), &[0], 0, &[3], 41, 1);
}

#[test]
#[should_panic(expected = "one tick per row")]
fn a_value_without_a_tick() {
    let _ = values::<f64>(&Brownian::new(Noise::new(0), &[1.0]).unwrap(), &[0, 1], 0, &[3], 40, 1);
}

#[test]
#[should_panic(expected = "the tree has no areas")]
fn areas_between_ticks_of_a_plain_tree() {
    let brownian = Brownian::new(Noise::new(0), &[1.0]).unwrap();
    let [mut w, mut h] = [(); 2].map(|()| Array2::<f64>::zeros((1, 1)));
    brownian.between_into(&[0], 0, 0..1, &mut w, Some(&mut h), &mut Scratch::new());
}

#[test]
#[should_panic(expected = "the shape of the last query")]
fn another_width_in_a_cursor() {
    let mut cursor = BrownianCursor::<f64>::new(Brownian::new(Noise::new(0), &[1.0]).unwrap(), &[0], 0);
    cursor.between_into(0..5, &mut Array2::zeros((1, 1)), None);
    cursor.between_into(0..5, &mut Array2::zeros((1, 2)), None);
}

#[test]
#[should_panic(expected = "values are those of a tree without areas")]
fn values_of_a_tree_with_areas() {
    let _ = values::<f64>(&Brownian::with_area(Noise::new(0), &[1.0]).unwrap(), &[0], 0, &[1], 3, 1);
}

#[test]
#[should_panic(expected = "has no parts 2 levels below it")]
fn levy_areas_below_the_deepest_level() {
    let brownian = Brownian::with_area(Noise::new(0), &[1.0]).unwrap();
    let _ = levy(&brownian, &[0], Node { cell: 0, level: 39, index: 0 }, 2, 2);
}
