import Identifiers
import JobPlan
import UnitOperations

/// What the merges of blocks measured.
///
/// Of an iteration over all blocks the closed form at which it starts has inverted the factors, so it measures their
/// health.
struct BlockMergeMeasurements {
    let plan: JobPlan
    /// A finished unit's result.
    let result: (UnitIndex) -> UnitResult?

    /// The numbers of a block's merge; `nil` if it was not merged with factors.
    subscript(block: String) -> [MeasurementName: [Double]]? {
        guard let merge = measurements(block, .blockMerge) else { return nil }
        return (measurements(block, .mergeStart) ?? [:]).merging(merge) { $1 }
    }

    /// The numbers of a block's unit; `nil` if it has none, or has not finished.
    func measurements(_ block: String, _ purpose: UnitPurpose) -> [MeasurementName: [Double]]? {
        plan.products[block, purpose].flatMap { result($0.unit) }?.measurements
    }
}
