import ArgumentParser
import Console
import Identifiers
import TaskArithmetic

/// `kfacctl advise`.
struct AdviseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "advise",
        abstract: "Says with which weights to merge a job's models, by their interference. Merges nothing.",
        discussion: """
            The drift of a task is the merged model's distance from the task's own model, under the task's curvature: 0 \
            at its own model, 1 at the base. It is predicted for a plain sum of task vectors, at the job's α and \
            weights, at the best single α, and at the best weight of each model.
            """)

    @OptionGroup var options: MeasurementOptions

    func run() async throws {
        let advice = try Advice(try await InterferenceReader(options: options).read())
        guard options.output == .table else { return try print(json: advice) }
        Terminal.print(
            [pairs(advice), drifts(advice), "advice: \(advice.sentence)", yaml(advice)].compactMap { $0 }
                .joined(separator: "\n\n"))
        for remark in advice.remarks { Terminal.note("note: \(remark)") }
    }

    // MARK: - Tables

    private func pairs(_ advice: Advice) -> String? {
        guard !advice.pairs.isEmpty else { return nil }
        var table = TextTable(["VECTOR", "MOVES", "STRENGTH", "MOST OF IT IN"])
        for pair in advice.pairs {
            let layers = pair.layers.map { "\($0.name) \(Quantity.rounded(100 * $0.share, 0)) %" }
            table.add([
                pair.vector, pair.task, Quantity.rounded(pair.strength, 3), layers.joined(separator: ", "),
            ])
        }
        let left = advice.pairCount - advice.pairs.count
        let more = left > 0 ? "\nand \(left) more pairs" : ""
        return "the pairs that interfere most (1: as strongly as the task's own vector)\n\(table.text)\(more)"
    }

    private func drifts(_ advice: Advice) -> String {
        let predictions = [advice.asInJob, advice.atBestScale, advice.atBestWeights]
        var table = TextTable(["", "JOB", "BEST α", "BEST WEIGHTS"])
        table.add(["α"] + [advice.measured.lambda ?? 1, advice.scale.value, 1].map { Quantity.rounded($0, 4) })
        for (position, vector) in advice.measured.vectors.enumerated() {
            let weights = [advice.weights, advice.weights, advice.best.values].map { Quantity.rounded($0[position], 4) }
            table.add(["weight of \(vector)"] + weights)
        }
        for (position, task) in advice.measured.tasks.enumerated() {
            let drifts = predictions.map { prediction in
                prediction.relativeDrifts[position].map { Quantity.rounded($0, 4) }
                    ?? prediction.drifts[position].map(Quantity.scientific) ?? "–"
            }
            table.add(["drift of \(task)"] + drifts)
        }
        table.add(
            ["total"]
                + predictions.map { $0.relativeTotal.map { Quantity.rounded($0, 4) } ?? Quantity.scientific($0.total) })
        return "predicted drift (0: as the task's own model, 1: as the base)\n\(table.text)"
    }

    private func yaml(_ advice: Advice) -> String {
        "# the keys of the job, and below each model's entry its weight\n" + advice.yaml.joined(separator: "\n")
    }

    // MARK: - JSON

    private func print(json advice: Advice) throws {
        let measured = advice.measured
        let predictions = [
            (advice.asInJob, advice.measured.lambda ?? 1, advice.weights, true),
            (advice.atBestScale, advice.scale.value, advice.weights, advice.scale.isUnique),
            (advice.atBestWeights, 1, advice.best.values, advice.best.isUnique),
        ].map { prediction, scale, weights, isUnique -> [String: Any] in
            var item: [String: Any] = [
                "name": prediction.name, "lambda": scale, "is_unique": isUnique, "total": prediction.total,
                "weights": Dictionary(zip(measured.vectors, weights)) { first, _ in first },
                "drifts": named(measured.tasks, prediction.drifts),
                "relative_drifts": named(measured.tasks, prediction.relativeDrifts),
            ]
            item["relative_total"] = prediction.relativeTotal
            return item
        }
        let pairs = advice.pairs.map { pair -> [String: Any] in
            [
                "task_vector": pair.vector, "task": pair.task, "strength": pair.strength,
                "layers": pair.layers.map { ["name": $0.name, "share": $0.share] as [String: Any] },
            ]
        }
        try JSONOutput.print(
            "predictions", predictions,
            beside: [
                "pairs": pairs, "advice": advice.sentence, "remarks": advice.remarks, "yaml": advice.yaml,
                "uncovered_shares": named(measured.vectors, measured.uncoveredShares),
            ])
    }

    /// The values that there are, by name.
    private func named(_ names: [String], _ values: [Double?]) -> [String: Double] {
        Dictionary(zip(names, values).compactMap { name, value in value.map { (name, $0) } }) { first, _ in first }
    }
}
