public import Identifiers
import UnitOperations

extension JobPlan {
    /// A factor whose rows are summed over each sample before the product: B under `reduce`.
    public struct SummedRowsFactor: Sendable {
        /// The block that it belongs to.
        public let block: String
        /// The unit that makes it.
        public let unit: UnitIndex
        /// The units that read its rows: the same one, or those whose sums it adds.
        public let parts: [UnitIndex]
        /// What its sum is divided by.
        public let divisor: Double
    }

    /// The factors of a task whose rows are summed over each sample; those of each use of a tied weight.
    public func factorsOfSummedRows(of task: TaskName) -> [SummedRowsFactor] {
        blocks.flatMap { block in
            let outputs = [FactorSide.input, .gradient].compactMap { products[block.name, .factor($0, of: task)] }
            let made = Set(outputs.map(\.unit)).sorted().flatMap { unit in
                units[unit.position].operation is SumUsesOperation ? units[unit.position].inputs.map(\.unit) : [unit]
            }
            return made.compactMap { summedRowsFactor(madeBy: $0, of: block.name) }
        }
    }

    private func summedRowsFactor(madeBy unit: UnitIndex, of block: String) -> SummedRowsFactor? {
        let work = units[unit.position]
        let combination = work.operation as? CombineOperation
        let parts = combination == nil ? [unit] : work.inputs.map(\.unit)
        let operations = parts.compactMap { units[$0.position].operation as? FactorOperation }
        guard operations.count == parts.count, operations.allSatisfy(\.sumsRows),
            let divisor = combination?.divisor ?? operations.first?.divisor
        else { return nil }
        return SummedRowsFactor(block: block, unit: unit, parts: parts, divisor: divisor)
    }
}
