import FileAccess
import Identifiers
import JobFiles
import JobPlan
import SystemPackage

/// Checks that all models of a job have the vocabulary that its tokenizer promises.
///
/// mergekit moves rows of embeddings to the places of their tokens. With equal vocabularies no row moves, whichever
/// model's tokenizer is chosen.
struct SharedVocabulary {
    let spec: JobSpec
    let roots: FileRoots
    /// The directory of a model's files; `nil` for a model that was not read.
    let directory: (CheckpointInventory) -> FilePath?

    /// The most tokens that a message shows.
    private static let shownTokens = 3

    /// A problem for each model with another vocabulary, and for rows that would be added.
    func problems(_ inventory: JobInventory) -> [JobProblem] {
        guard spec.outputs.contains(.merged), let tokenizer = spec.tokenizer else { return [] }
        return paddingProblems(tokenizer, inventory.base) + fileProblems(tokenizer, inventory.base)
            + vocabularyProblems(tokenizer, inventory)
    }

    /// Remarks on a merged model without a tokenizer, and on models with other tokens than the base.
    func notices(_ inventory: JobInventory) -> [JobNotice] {
        guard spec.outputs.contains(.merged), spec.checkpoint.adapterRank == nil else { return [] }
        return fileNotices(inventory) + (spec.tokenizer == nil ? tokenNotices(inventory) : [])
    }

    /// The tokenizer's files are copied from the base, which must have them.
    private func fileProblems(_ tokenizer: TokenizerSpec, _ base: CheckpointInventory) -> [JobProblem] {
        guard tokenizer.source.value == .base, spec.checkpoint.copiesTokenizer, spec.checkpoint.adapterRank == nil,
            let directory = directory(base), !TokenizerFiles.exist(in: directory, within: roots)
        else { return [] }
        return [
            JobProblem(
                at: tokenizer.source.location,
                "the job asks for the base's tokenizer, but \(directory) has no file of one. Put its tokenizer beside the "
                    + "weights, or remove the key.")
        ]
    }

    private func fileNotices(_ inventory: JobInventory) -> [JobNotice] {
        guard spec.tokenizer == nil, spec.checkpoint.copiesTokenizer, let base = directory(inventory.base),
            // Files beside a base that is a single file are not copied.
            base.string == inventory.base.location, !TokenizerFiles.exist(in: base, within: roots)
        else { return [] }
        let owner = spec.mergedTasks.first { task in
            guard let own = inventory.checkpoints[task.name].flatMap(directory) else { return false }
            return own != base && TokenizerFiles.exist(in: own, within: roots)
        }
        guard owner != nil || inventory.base.tensors["model.embed_tokens.weight"] != nil else { return [] }
        let others = owner.map { "; that of task \"\($0.name)\" has some" } ?? ""
        return [
            JobNotice(
                at: base.string,
                "the base has no tokenizer files, so the merged model has none either\(others). Copy the base's beside "
                    + "its weights, or a tokenizer into the merged directory.")
        ]
    }

    /// Models whose tokens differ from the base's, although their embeddings have equal shapes.
    ///
    /// A vocabulary is read only if its file differs; one that cannot be read is not compared.
    private func tokenNotices(_ inventory: JobInventory) -> [JobNotice] {
        guard spec.mismatchedShapes == .refuse, let place = directory(inventory.base),
            !inventory.base.wordEmbeddings.isEmpty
        else { return [] }
        var base: [Int: String]?
        return spec.mergedTasks.compactMap { task in
            guard let checkpoint = inventory.checkpoints[task.name], let directory = directory(checkpoint),
                TokenizerVocabulary.filesDiffer(in: directory, from: place, within: roots),
                let own = try? vocabulary(of: checkpoint)
            else { return nil }
            if base == nil { base = (try? vocabulary(of: inventory.base)) ?? [:] }
            guard let base, !base.isEmpty, own != base else { return nil }
            return JobNotice(
                at: checkpoint.location,
                "\(Self.difference("task \"\(task.name)\"", own, base)). Rows of embeddings are merged by their numbers, so "
                    + "such rows mix different tokens. Merge models with one tokenizer; \"tokenizer_source\" lets the job "
                    + "be refused otherwise.")
        }
    }

    private func paddingProblems(_ tokenizer: TokenizerSpec, _ base: CheckpointInventory) -> [JobProblem] {
        guard let multiple = tokenizer.rowMultiple else { return [] }
        let padded = base.wordEmbeddings.first { ($0.shape.first ?? 0) % multiple.value != 0 }
        guard let padded else { return [] }
        return [
            JobProblem(
                at: multiple.location,
                "\"pad_to_multiple_of\" is \(multiple.value), but \"\(padded.name.excerpt)\" of the base has "
                    + "\(padded.shape[0]) rows; expected a number that divides them, because no rows are added. Remove it."
            )
        ]
    }

    private func vocabularyProblems(_ tokenizer: TokenizerSpec, _ inventory: JobInventory) -> [JobProblem] {
        let isRequired = tokenizer.source.value != .base
        // Then the job says itself what becomes of other rows.
        guard isRequired || spec.mismatchedShapes == .refuse else { return [] }
        let fact = "the job asks for one tokenizer of all models, but"
        func lacking(_ owner: String) -> String {
            "\(fact) \(owner) has no tokenizer.json, so nothing shows that equal rows are equal tokens. Put its "
                + "tokenizer.json beside the weights."
        }
        var problems: [JobProblem] = []
        func add(_ sentence: String) { problems.append(JobProblem(at: tokenizer.source.location, sentence)) }
        do throws(JobFileError) {
            guard let base = try vocabulary(of: inventory.base) else {
                if isRequired { add(lacking("the base")) }
                return problems
            }
            for task in spec.tasks {
                guard let checkpoint = inventory.checkpoints[task.name], let model = task.model else { continue }
                let owner = "task \"\(task.name)\""
                guard let own = try vocabulary(of: checkpoint) else {
                    if isRequired { add(lacking(owner)) }
                    continue
                }
                if own != base {
                    add(
                        "\(fact) \(Self.difference(owner, own, base)). Vocabularies are not joined: merge models with one "
                            + "tokenizer.")
                } else if tokenizer.source.value == .model(model.value),
                    let name = try fileDifference(checkpoint, inventory)
                {
                    add(
                        "\(owner) has the base's tokens, but not its \(name.excerpt), and the base's files are copied. "
                            + "Write \"base\", and copy the file into the merged directory.")
                }
            }
        } catch {
            add("vocabularies cannot be compared: \(error)")
        }
        return problems
    }

    /// The tokens by id, those without a row of the embedding left out.
    private func vocabulary(of checkpoint: CheckpointInventory) throws(JobFileError) -> [Int: String]? {
        guard let directory = directory(checkpoint),
            let tokens = try TokenizerVocabulary.read(in: directory, within: roots)?.tokens
        else { return nil }
        let rows = checkpoint.wordEmbeddings.compactMap(\.shape.first).max() ?? .max
        return tokens.filter { $0.key < rows }
    }

    private func fileDifference(
        _ checkpoint: CheckpointInventory, _ inventory: JobInventory
    ) throws(JobFileError) -> String? {
        guard let own = directory(checkpoint), let base = directory(inventory.base) else { return nil }
        return try TokenizerFiles.firstDifference(in: own, from: base, within: roots)
    }

    /// What differs, as a clause: both numbers, and the first tokens.
    private static func difference(_ owner: String, _ own: [Int: String], _ base: [Int: String]) -> String {
        let ids = Set(own.keys).union(base.keys).filter { own[$0] != base[$0] }.sorted()
        func word(_ token: String?) -> String { token.map { "\"\($0.excerpt)\"" } ?? "no token" }
        let shown = ids.prefix(shownTokens).map { "id \($0) is \(word(own[$0])) and \(word(base[$0]))" }
        let rest = ids.count > shownTokens ? ", and \(ids.count - shownTokens) more differ" : ""
        return "\(owner) has \(own.count) tokens and the base \(base.count): \(shown.joined(separator: ", "))\(rest)"
    }
}
