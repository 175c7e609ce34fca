import FileAccess
import Identifiers
import JobFiles
import JobPlan
import KroneckerFactors
import LinearAlgebra
import PushedRuns
import Safetensors
import SystemPackage
import UnitOperations

/// The files that a task names under `factors`: one finished factor set, or partial sums.
extension InventoryReader {
    /// What a task's `factors` lead to, told apart by `format`.
    enum FactorFiles {
        /// A finished set: a file, or a directory in Hugging Face layout.
        case finished(FilePath)
        /// The open files of partial sums, and the errors of files beside them that cannot be opened.
        case partials([SafetensorsFile], unreadable: [SafetensorsError])
    }

    /// Opens what a task names; `nil`, and problems, when it is neither one finished set nor partial sums alone.
    mutating func factorFiles(of task: TaskSpec) -> FactorFiles? {
        var places: [FilePath] = []
        var known: Set<FilePath> = []
        for pattern in task.factors {
            if let run = RunName(reference: pattern.value) {
                guard let files = members(of: run, at: pattern) else { return nil }
                places += files.filter { known.insert($0).inserted }
                continue
            }
            guard let matches = matches(pattern, key: "factors") else { return nil }
            if matches.isEmpty {
                report(
                    [
                        "the pattern \"\(pattern.value)\" of task \"\(task.name)\" matches no file; it was looked up as "
                            + "\(paths.absolute(pattern.value)). Correct it."
                    ], at: pattern, key: "factors")
                return nil
            }
            places += matches.filter { known.insert($0).inserted }
        }
        var (sums, others): ([SafetensorsFile], [FilePath]) = ([], [])
        var unreadable: [SafetensorsError] = []
        for place in places {
            for file in members(of: place) {
                guard !Task.isCancelled else { return nil }
                guard let file else {
                    others.append(place)
                    continue
                }
                do throws(SafetensorsError) {
                    // The coordinator's own directory need not lie in the roots of jobs.
                    let isPushed = runMembers.contains { $0.acknowledgedDigest(of: file) != nil }
                    let opened = try SafetensorsFile(opening: file, within: isPushed ? .unlimited : roots)
                    if Self.holdsPartials(opened) { sums.append(opened) } else { others.append(file) }
                } catch {
                    unreadable.append(error)
                }
            }
        }
        if others.isEmpty, !sums.isEmpty { return .partials(sums, unreadable: unreadable) }
        if sums.isEmpty, others.isEmpty, places.count > 1 {
            report(unreadable.sentences, at: task.factors[0], key: "factors")
            return nil
        }
        if sums.isEmpty, places.count == 1 { return .finished(Self.finishedSet(at: places[0], roots)) }
        problems.append(problem(of: task, sums: sums.map(\.path), others: others))
        return nil
    }

    /// The files that were pushed under a run's name; `nil`, and problems, when they cannot be used.
    private mutating func members(of run: RunName, at pattern: Located<String>) -> [FilePath]? {
        guard let runs else {
            report(
                [
                    "\"\(pattern.value.excerpt)\" names a pushed run, which only its coordinator has. Submit the job "
                        + "with \"kfacctl submit\", or plan it with \"kfacctl plan --coordinator ADDRESS\"."
                ], at: pattern, key: "factors")
            return nil
        }
        do throws(RunStoreError) {
            let found = try runs.members(of: run, for: job)
            runMembers.append(found)
            guard depth == .contents else { return found.files }
            let damaged = try found.removeDamaged { index in
                if index.isMultiple(of: 10) {
                    progress.note("reading the \(found.files.count) files of run \"\(run.rawValue.excerpt)\"")
                }
                return !Task.isCancelled
            }
            guard !damaged.isEmpty else { return found.files }
            report(
                [
                    "run \"\(run.rawValue.excerpt)\": the bytes of \(damaged.map(\.description).listed(limit: 5)) were damaged "
                        + "on the coordinator's disk, and are removed. Push them again."
                ], at: pattern, key: "factors")
        } catch {
            report([error.description], at: pattern, key: "factors")
        }
        return nil
    }

    /// The files of a place that may hold partial sums; `nil` stands for a finished set in a directory.
    private func members(of place: FilePath) -> [FilePath?] {
        guard (try? roots.kind(of: place)) == .directory else { return [place] }
        let limit = FileSearch.Limits().names
        guard Self.finishedSet(at: place, roots) == place, let all = try? roots.names(in: place, limit: limit) else {
            return [nil]
        }
        let names = all.filter { !$0.hasPrefix(".") }
        let files = names.filter { $0.hasSuffix(".safetensors") }.sorted()
        guard !files.isEmpty, !names.contains(where: { $0.hasSuffix(".safetensors.index.json") }) else { return [nil] }
        return files.map { place.appending($0) }
    }

    /// The file of a finished set; a job's own output directory holds `factors.safetensors`, or shards with their
    /// index.
    private static func finishedSet(at path: FilePath, _ roots: FileRoots) -> FilePath {
        let inside = path.appending("factors.safetensors")
        return (try? roots.kind(of: inside)) == .file ? inside : path
    }

    /// Whether a file states that it holds partial sums, of whatever version.
    private static func holdsPartials(_ file: SafetensorsFile) -> Bool {
        let stated = file.header.metadata[MetadataKey.format].flatMap { FormatVersion($0) }
        return stated?.name == FormatVersion.partials.name
    }

    private func problem(of task: TaskSpec, sums: [FilePath], others: [FilePath]) -> JobProblem {
        func words(_ files: [FilePath]) -> String {
            "\(files[0])\(files.count > 1 ? " and \(files.count - 1) more" : "")"
        }
        let place = "\(task.factors[0].location) (factors)"
        guard !sums.isEmpty else {
            return JobProblem(
                at: place,
                "task \"\(task.name)\" names \(others.count) files that hold no partial sums, such as \(others[0]); expected "
                    + "one finished factor set, or files of the format \"\(FormatVersion.partials)\".")
        }
        return JobProblem(
            at: place,
            "task \"\(task.name)\" mixes partial sums (\(words(sums))) with other files (\(words(others))); expected "
                + "either. Name the partial sums of one run, or one finished factor set.")
    }

    // MARK: - Partial sums

    /// Takes the partial sums of a task into the inventory.
    mutating func readPartials(
        _ files: [SafetensorsFile], besides unreadable: [SafetensorsError], of task: TaskSpec
    ) {
        do throws(JobFileError) {
            let errors = unreadable.flatMap(\.all).map(JobFileError.safetensors)
            let set = try PartialsSet(of: files, besides: errors)
            if depth == .contents, !set.repetitions.isEmpty {
                progress.note("reads the partial sums of task \"\(task.name)\" that come twice")
                try set.requireEqualRepetitions()
            }
            if depth == .contents { try set.requireCountedRows() }
            var repeated = SharedFaults()
            for repetition in set.repetitions {
                repeated.append(
                    "holds the same sequence of the same rank as \(repetition.original.path), and counts once. Name only "
                        + "one of them.",
                    about: nil, of: "partial sums", at: repetition.file.path.string)
            }
            inventory.notices += repeated.notices
            inventory.partials[task.name] = renamed(partials(set, of: task), of: task)
        } catch {
            report(error.sentences, at: task.factors[0], key: "factors")
        }
    }

    private mutating func partials(_ set: PartialsSet, of task: TaskSpec) -> PartialsInventory {
        let place = set.files[0].path.string
        if set.task != task.name {
            problems.append(
                JobProblem(
                    at: place,
                    "the partial sums are of task \"\(set.task)\", but stand under task \"\(task.name)\" "
                        + "(\(task.location)). Correct the pattern, or the task's name."))
        }
        let normalization = FactorNormalization(rawValue: set.normalization) ?? .tak
        statedNormalizations.append(
            StatedNormalization(task: task.name, place: place, word: normalization.rawValue, isOfSums: true))
        if let digest = set.baseDigest { namedBaseDigests.append((place, digest)) }
        let indexes = set.files.map { register($0, role: "partial sums of task \"\(task.name)\"") }
        let sums = set.sums.map { sum in
            let slices = zip(indexes, sum.fileRanges).map { index, range in
                FileSlice(file: index, offset: UInt64(range.lowerBound), byteCount: UInt64(range.count))
            }
            return (
                FactorName(owner: sum.name.owner, side: sum.name.side),
                PartialsInventory.Sum(shape: sum.shape, elementType: sum.elementType, slices: slices)
            )
        }
        var inventory = PartialsInventory(
            normalization: normalization, probes: set.probeCount, hasBias: set.hasBias, layouts: set.layouts,
            counts: set.counts.mapValues { PartialsInventory.Counts(rows: $0.rows, samples: $0.samples) },
            sums: Dictionary(sums, uniquingKeysWith: { first, _ in first }))
        inventory.exactTraces = set.exactTraces
        let files = Dictionary(zip(set.files.map(\.path), indexes)) { first, _ in first }
        let parameters = Set(set.sums.lazy.filter { $0.name.side == .full }.map(\.name.owner))
        inventory.jointParts = set.jointParts.map { part in
            PartialsInventory.JointPart(
                tensors: JointRowTensors(part.entries, part.metadata, parameters: parameters, files: files) {
                    part.rowsPerSample[$0]
                },
                samples: part.samples)
        }
        return inventory
    }
}
