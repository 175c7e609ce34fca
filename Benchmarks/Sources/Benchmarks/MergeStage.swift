import CPlainMerge
import Foundation
import Safetensors
import SystemPackage

/// Measures task arithmetic over a base and eight checkpoints through the whole system, beside a short C program that
/// reads, adds and writes the same bytes.
struct MergeStage {
    private static let tasks = 8
    private static let weight: Float = 0.3
    /// The threads of the C program; kfacd merges on as many.
    private static let threads = 2

    let directory: WorkDirectory
    let binaries: String
    let size: MeasuredSize
    /// The rounds; in each, both programs run once, in turns as the first.
    let rounds: Int

    /// One run of both programs.
    private struct Round {
        var kfacd: MergePhases
        var plain: kfacd_plain_merge_times
    }

    func measure() throws {
        let job = try makeJob()
        let base = try SafetensorsFile(opening: FilePath(checkpoints[0]))
        var measured: [Round] = []
        for number in 0..<rounds {
            var (kfacd, plain): (MergePhases?, kfacd_plain_merge_times?)
            for isPlain in number.isMultiple(of: 2) ? [false, true] : [true, false] {
                try readInputs()
                if isPlain { plain = try mergePlainly(base) } else { kfacd = try mergeByDaemons(job) }
            }
            try compare(base)
            if let kfacd, let plain { measured.append(Round(kfacd: kfacd, plain: plain)) }
        }
        let bytes = Double(base.identity.byteCount) * Double(Self.tasks + 2)
        print(
            "\nmerge of a base and \(Self.tasks) bf16 checkpoints (\(fixed(bytes / 1e9, 1)) GB in and out, warm); "
                + "medians of \(rounds) round\(rounds == 1 ? "" : "s")")
        print(table(of: measured).text)
    }

    // MARK: - The programs

    private var checkpoints: [String] {
        ["base"].map { directory.file("merge/\($0).safetensors") }
            + (1...Self.tasks).map { directory.file("merge/task\($0).safetensors") }
    }

    private var plainOutput: String { directory.file("merge/plain.safetensors") }
    private var output: String { directory.file("merge/out") }

    private func makeJob() throws -> String {
        let layout = (0..<size.mergedTensors).map {
            TensorDescription(name: "layer.\($0).weight", dataType: .bfloat16, shape: size.mergedShape)
        }
        let files = ModelFiles(directory: directory)
        try files.write("merge/base.safetensors", layout, seed: 1)
        var job = "merge_method: task_arithmetic\nbase_model: base.safetensors\nmodels:\n"
        for task in 1...Self.tasks {
            try files.write("merge/task\(task).safetensors", layout, seed: 1 + task)
            job += "  - {model: task\(task).safetensors, parameters: {weight: \(Self.weight)}}\n"
        }
        job += "outputs: [merged]\noutput: out\n"
        let path = directory.file("merge/job.yaml")
        try job.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    /// Reads the inputs, so that both programs find them in the page cache.
    private func readInputs() throws {
        for path in checkpoints { _ = try SafetensorsFile(opening: FilePath(path)).sha256() }
    }

    private func mergeByDaemons(_ job: String) throws -> MergePhases {
        // The replacement of an earlier checkpoint would be measured too.
        try? FileManager.default.removeItem(atPath: output)
        let outcome = try KfacctlRun(binaries: binaries).run(job, workers: 1, output: output, logLevel: "debug")
        guard let phases = MergePhases(outcome) else {
            throw MeasuredJobFailure(job: job, exitStatus: 0, log: outcome.log.text)
        }
        return phases
    }

    private func mergePlainly(_ base: SafetensorsFile) throws -> kfacd_plain_merge_times {
        try? FileManager.default.removeItem(atPath: plainOutput)
        let paths = checkpoints.map { strdup($0) }
        defer { paths.forEach { free($0) } }
        var times = kfacd_plain_merge_times()
        let offset = base.header.dataOffset
        let error = paths.map { UnsafePointer($0) }.withUnsafeBufferPointer { paths in
            kfacd_plain_merge(
                paths.baseAddress, paths.count, offset, base.identity.byteCount - offset, Self.weight, plainOutput,
                Self.threads, &times)
        }
        guard error == 0 else { throw PlainMergeFailure(output: plainOutput, code: Errno(rawValue: error)) }
        return times
    }

    /// Checks that both programs have written the same elements.
    private func compare(_ base: SafetensorsFile) throws {
        let merged = try SafetensorsFile(opening: FilePath("\(output)/merged/model.safetensors"))
        let plain = try FileHandle(forReadingFrom: URL(fileURLWithPath: plainOutput))
        defer { try? plain.close() }
        for tensor in base.header.tensors {
            try plain.seek(toOffset: UInt64(base.header.dataOffset + tensor.byteRange.lowerBound))
            let expected = try plain.read(upToCount: tensor.byteCount) ?? Data()
            guard try merged.bytes(of: tensor.name, count: tensor.byteCount) == Array(expected) else {
                throw PlainMergeFailure(output: plainOutput, code: nil)
            }
        }
    }

    // MARK: - The table

    private func table(of measured: [Round]) -> Table {
        func median(_ number: (Round) -> Double) -> String {
            let numbers = measured.map(number).sorted()
            return fixed(numbers[(numbers.count - 1) / 2], 3)
        }
        var table = Table(["seconds", "kfacd", "plain C", "C / kfacd"])
        table.add(["start, until the coordinator listens", median { $0.kfacd.start }, "–", "–"])
        table.add(["planning, until the job is accepted", median { $0.kfacd.planning }, "–", "–"])
        table.add([
            "merge, \(Self.threads) threads", median { $0.kfacd.merge }, median { $0.plain.merge_seconds },
            median { $0.plain.merge_seconds / $0.kfacd.merge },
        ])
        table.add(["fsync, with SHA-256 by kfacd", median { $0.kfacd.fsync }, median { $0.plain.fsync_seconds }, "–"])
        table.add(["publication", median { $0.kfacd.publication }, "–", "–"])
        table.add(["end of the daemons", median { $0.kfacd.end }, "–", "–"])
        table.add([
            "total", median { $0.kfacd.total }, median { $0.plain.merge_seconds + $0.plain.fsync_seconds },
            median { ($0.plain.merge_seconds + $0.plain.fsync_seconds) / $0.kfacd.total },
        ])
        table.add([
            "processor time of it all", median { $0.kfacd.processor }, median { $0.plain.processor_seconds },
            median { $0.plain.processor_seconds / $0.kfacd.processor },
        ])
        return table
    }
}

/// How a merge by `kfacctl run` spent its time, in seconds, from its daemons' log.
struct MergePhases {
    /// From the start of the program until the coordinator listens.
    let start: Double
    /// From then until the job is accepted.
    let planning: Double
    /// From then until every byte is written.
    let merge: Double
    /// From then until the files are hashed and durable.
    let fsync: Double
    /// From then until the files have their names.
    let publication: Double
    /// From then until the program has ended.
    let end: Double
    let total: Double
    /// The processor time of all programs together.
    let processor: Double

    /// Takes the phases from a log of the level `debug`; nil without the lines that divide them.
    init?(_ outcome: KfacctlRun.Outcome) {
        let log = outcome.log
        guard let listening = log.time(of: "listening"), let accepted = log.time(of: "job accepted"),
            let merged = log.time(of: "checkpoint merged"), let durable = log.time(of: "job progresses"),
            let ended = log.time(of: "job ended")
        else { return nil }
        start = listening.timeIntervalSince(outcome.span.lowerBound)
        planning = accepted.timeIntervalSince(listening)
        merge = merged.timeIntervalSince(accepted)
        fsync = durable.timeIntervalSince(merged)
        publication = ended.timeIntervalSince(durable)
        end = outcome.span.upperBound.timeIntervalSince(ended)
        total = outcome.wallSeconds
        processor = outcome.processorSeconds
    }
}

/// The plain merge failed, or the programs disagree.
struct PlainMergeFailure: Error, CustomStringConvertible {
    let output: String
    /// The error of the call that failed; nil for another result than kfacd's.
    let code: Errno?

    var description: String {
        code.map { "\(output): the plain merge failed: \($0)" }
            ?? "\(output): holds other elements than kfacd's checkpoint; expected the same."
    }
}
