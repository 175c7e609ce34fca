import Identifiers
import JobFiles
import JobPlan
import KroneckerFactors
import Safetensors
import SystemPackage

/// What a file of factors or of partial sums states about its normalization.
struct StatedNormalization {
    let task: TaskName
    /// The file.
    let place: String
    /// The word in its metadata; `nil` without one.
    let word: String?
    /// Whether the file holds partial sums, which are not divided yet.
    let isOfSums: Bool

    var normalization: FactorNormalization? { word.flatMap(FactorNormalization.init) }
}

/// The normalization of a job: what its file states, or else what given factors state.
extension InventoryReader {
    /// Takes the normalization from the files if the job states none, and reports files that contradict it.
    mutating func settleNormalization() {
        let deciding = spec.curvature.isNormalizationGiven ? nil : decidingStatement
        if let deciding, let found = deciding.normalization { spec.curvature.normalization = found }
        let asked = spec.curvature.normalization
        let demand =
            deciding.map { "those of task \"\($0.task)\" have \"\(asked.rawValue)\" (\($0.place))" }
            ?? "the job asks for \"\(asked.rawValue)\" (\(spec.fileName))"
        for stated in statedNormalizations {
            if let sentence = sentence(about: stated, asked, demand) {
                problems.append(JobProblem(at: stated.place, sentence))
            }
        }
        for task in inventory.factorSets.keys { inventory.factorSets[task]?.normalization = asked }
        for (found, set, task) in sharedFindings { checkSilentLayers(found, set, task) }
        sharedFindings = []
    }

    /// The statement that decides: the first of a finished set, or else of partial sums where nothing is captured.
    private var decidingStatement: StatedNormalization? {
        let known = statedNormalizations.filter { $0.normalization != nil }
        return known.first { !$0.isOfSums } ?? (spec.tasks.allSatisfy(\.captures.isEmpty) ? known.first : nil)
    }

    /// The problem of a file; `nil` if its statement agrees.
    private func sentence(
        about stated: StatedNormalization, _ asked: FactorNormalization, _ demand: String
    ) -> String? {
        guard let word = stated.word else {
            return "the factors do not say their normalization, and \(demand); expected \"normalization\" in the "
                + "file's metadata."
        }
        guard stated.isOfSums else {
            guard word != asked.rawValue else { return nil }
            return "the factors have the normalization \"\(word)\", but \(demand). Factors of different normalization "
                + "cannot be summed: compute them again, or change \"normalization\"."
        }
        // `tak` and `expand` differ only in the divisor.
        guard (stated.normalization == .reduce) != (asked == .reduce) else { return nil }
        return "the partial sums have the normalization \"\(word)\", but \(demand). Rows that were reduced before they "
            + "were summed cannot be told apart: sum them again, or change \"normalization\"."
    }

    /// Refuses layers under `reduce` that do not state the samples of rows for which another layer states them.
    ///
    /// Their rows happen to divide by the samples, so they would be reduced as samples of equal length.
    private mutating func checkSilentLayers(_ found: SharedRows.Findings, _ set: CaptureSet, _ task: TaskSpec) {
        guard spec.curvature.normalization == .reduce, let (layer, stating) = found.silent.first else { return }
        let count = found.silent.count - 1
        let more = count > 0 ? ", and \(count) more \(count == 1 ? "layer is" : "layers are") like the first" : ""
        problems.append(
            JobProblem(
                at: set.files[0].path.string,
                "the layers \"\(layer)\" and \"\(stating)\" of task \"\(task.name)\" have the same input rows, but only "
                    + "\"\(stating)\" has \"row_samples\"\(more); \"reduce\" would take the other one's samples to be of "
                    + "equal length. Capture \"\(layer).row_samples\" too."))
    }
}
