import Console
import JobPlan

/// The lines that show what a job would take.
enum PlanTable {
    /// Prints a plan: its stages, and what it reads and writes.
    static func print(_ plan: PlanSummary) {
        Terminal.print(
            "\(plan.tasks) tasks, \(plan.layers) layers and \(plan.parameters) other parameters with factors")
        if !plan.regularizer.isEmpty { Terminal.print("regularizers: \(plan.regularizer)") }
        var table = TextTable(["STAGE", "UNITS", "KNOWN", "MULTIPLY-ADDS", "READS", "MAKES", "PEAK MEMORY OF A UNIT"])
        for stage in plan.stages {
            table.add([
                stage.name, "\(stage.units)", stage.knownUnits > 0 ? "\(stage.knownUnits)" : "–",
                stage.multiplyAdds > 0 ? Quantity.scientific(stage.multiplyAdds) : "–",
                Quantity.bytes(stage.inputBytes), Quantity.bytes(stage.outputBytes),
                Quantity.bytes(stage.memoryBytesMax),
            ])
        }
        Terminal.print(table.text)
        if plan.stages.contains(where: { $0.knownUnits > 0 }) {
            Terminal.print("known: results of earlier work, which are not computed again")
        }
        Terminal.print("on the wire, when workers see the input files: \(Quantity.bytes(plan.wireBytes))")
        Terminal.print("output files: \(Quantity.bytes(plan.diskBytes))")
        if !plan.largestUnit.isEmpty { Terminal.print("the most memory is taken by: \(plan.largestUnit)") }
    }
}
