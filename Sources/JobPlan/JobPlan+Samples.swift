public import Identifiers
import UnitOperations

/// The share of a finished unit in the processed samples.
public struct SampleShare: Equatable, Sendable {
    /// The task whose captures the unit reads.
    public var task: TaskName
    /// The number of the task's samples, usually a fraction.
    public var samples: Double

    /// States a share.
    public init(task: TaskName, samples: Double) {
        self.task = task
        self.samples = samples
    }
}

extension JobPlan {
    /// The samples that each unit on captures stands for.
    ///
    /// Every factor of a task has an equal share of the task's samples. A part of a factor has a share by its rows.
    ///
    /// The shares of all factors of a task add up to its samples.
    public var sampleShares: [UnitIndex: SampleShare] {
        var shares: [UnitIndex: SampleShare] = [:]
        shares.reserveCapacity(units.count)
        // A factor that several layers share is computed only once.
        var known = [Bool](repeating: false, count: units.count)
        for task in inventory.captures.keys {
            let factors = products.outputs(of: blocks) { .factor($0, of: task) }.map(\.unit).filter { factor in
                defer { known[factor.position] = true }
                return !known[factor.position]
            }
            let samples = Double(inventory.samples(of: task)) / Double(max(factors.count, 1))
            for factor in factors {
                let readers = captureReaders(of: factor)
                let rows = readers.reduce(0) { $0 + $1.rows }
                for reader in readers where rows > 0 {
                    shares[reader.unit] = SampleShare(
                        task: task, samples: samples * Double(reader.rows) / Double(rows))
                }
            }
        }
        return shares
    }

    /// The units that read a factor's rows: the unit that makes it, or the units of its parts.
    private func captureReaders(of factor: UnitIndex) -> [(unit: UnitIndex, rows: Int)] {
        // A span lends a unit, where an array's element would be copied.
        let units = units.span
        return switch units[factor.position].operation {
        case let operation as FactorOperation: [(factor, operation.rows)]
        case is CombineOperation: units[factor.position].dependencies.flatMap(captureReaders)
        default: []
        }
    }
}
