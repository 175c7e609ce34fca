public import Identifiers
import UnitOperations

/// What a finished unit contributes to the samples that were processed.
public struct SampleShare: Equatable, Sendable {
    /// The task whose captures the unit reads.
    public var task: TaskName
    /// How many of the task's samples it stands for, a fraction as a rule.
    public var samples: Double

    /// States a share.
    public init(task: TaskName, samples: Double) {
        self.task = task
        self.samples = samples
    }
}

extension JobPlan {
    /// The samples that the units on captures stand for: every factor of a task has an equal share of the task's
    /// samples, and every part of a factor one by its rows.
    ///
    /// Once all of a task's factors are there, its shares add up to its samples.
    public var sampleShares: [UnitIndex: SampleShare] {
        var shares: [UnitIndex: SampleShare] = [:]
        for task in inventory.captures.keys {
            // A factor that several layers share is computed once.
            let factors = Set((factorOutputs[task] ?? [:]).values.map(\.unit)).map(captureReaders)
            let samples = Double(inventory.samples(of: task)) / Double(max(factors.count, 1))
            for readers in factors {
                let rows = readers.reduce(0) { $0 + $1.rows }
                for reader in readers where rows > 0 {
                    shares[reader.unit] = SampleShare(
                        task: task, samples: samples * Double(reader.rows) / Double(rows))
                }
            }
        }
        return shares
    }

    /// The units that read the rows of a factor: the one that makes it, or those of its parts.
    private func captureReaders(of factor: UnitIndex) -> [(unit: UnitIndex, rows: Int)] {
        let unit = units[factor.position]
        switch unit.operation {
        case let operation as FactorOperation: return [(factor, operation.rows)]
        case is CombineOperation: return unit.dependencies.flatMap(captureReaders)
        default: return []
        }
    }
}
