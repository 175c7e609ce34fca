import FileAccess
import Identifiers
import JobFiles
import JobPlan
import SystemPackage

/// Checks that a row of two embeddings is the same token, where a job merges the rows that models have in common.
struct ResizedVocabularies {
    let spec: JobSpec
    let roots: FileRoots
    /// The directory of a model's files; `nil` for a model that was not read.
    let directory: (CheckpointInventory) -> FilePath?

    private static let remedy = "write \"mismatched_shapes: base\" to keep the base's embedding and head"

    /// The models whose tokens agree with the base's in the common rows, and a problem for each other model.
    func check(_ inventory: JobInventory) -> (agreeing: [MismatchedTensors.Resized], problems: [JobProblem]) {
        let resized = MismatchedTensors(of: spec).resized(in: inventory)
        guard !resized.isEmpty else { return ([], []) }
        var agreeing: [MismatchedTensors.Resized] = []
        var problems: [JobProblem] = []
        do throws(JobFileError) {
            let base = try vocabulary(of: inventory.base)
            for entry in resized {
                guard let own = inventory.checkpoints[entry.task] else { continue }
                if let sentence = try disagreement(entry, own, inventory.base, base) {
                    problems.append(JobProblem(at: own.location, sentence))
                } else {
                    agreeing.append(entry)
                }
            }
        } catch {
            problems.append(
                JobProblem(at: inventory.base.location, "vocabularies cannot be compared: \(error) Or \(Self.remedy)."))
        }
        return (agreeing, problems)
    }

    private func vocabulary(of checkpoint: CheckpointInventory) throws(JobFileError) -> TokenizerVocabulary? {
        guard let directory = directory(checkpoint) else { return nil }
        return try TokenizerVocabulary.read(in: directory, within: roots)
    }

    /// Why the common rows are not known to be the same tokens, as a sentence.
    private func disagreement(
        _ resized: MismatchedTensors.Resized, _ own: CheckpointInventory, _ base: CheckpointInventory,
        _ vocabulary: TokenizerVocabulary?
    ) throws(JobFileError) -> String? {
        let first = resized.names[0]
        let rows = { (checkpoint: CheckpointInventory) in checkpoint.tensors[first]?.shape.first ?? 0 }
        let fact =
            "\"\(first.excerpt)\" of task \"\(resized.task)\" has \(rows(own)) rows; the base has \(rows(base))"
        let tokens = try self.vocabulary(of: own)
        guard let tokens, let vocabulary else {
            let owner = vocabulary == nil ? "the base \(base.location)" : "the model"
            return
                "\(fact), and \(owner) has no tokenizer.json, so nothing shows that equal rows are equal tokens. Put its "
                + "tokenizer.json beside the weights, or \(Self.remedy)."
        }
        guard let id = tokens.firstDifference(from: vocabulary, below: resized.rows) else { return nil }
        func word(_ vocabulary: TokenizerVocabulary) -> String {
            vocabulary.tokens[id].map { "\"\($0.excerpt)\"" } ?? "no token"
        }
        return
            "\(fact), and row \(id) is \(word(tokens)) in its tokenizer.json but \(word(vocabulary)) in the base's, so "
            + "equal rows are not equal tokens. Merge models with one tokenizer, or \(Self.remedy)."
    }
}
