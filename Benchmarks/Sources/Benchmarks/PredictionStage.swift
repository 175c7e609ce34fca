import Foundation
import Safetensors

/// Compares the times that `kfacctl plan` predicts with those that the jobs take.
struct PredictionStage {
    private static let workers = 2
    private static let tasks = 3
    let directory: WorkDirectory
    let binaries: String
    let size: MeasuredSize

    /// A job file with the name of what it measures.
    private struct PredictedJob {
        let title: String
        let file: String
    }

    /// The seconds of one job.
    private struct Outcome {
        /// By `kfacctl plan`, from the first unit to the publication.
        let predicted: Double
        /// The same by the daemons' log.
        let measured: Double
        /// Of `kfacctl run` from its start to its end.
        let wall: Double
        /// The processor time of all its programs, for each lane.
        let processor: Double
    }

    func measure() throws {
        let jobs = try makeJobs()
        // The machine is measured anew, and nothing of the user's is used.
        let caches = directory.file("predictions/caches")
        try? FileManager.default.removeItem(atPath: caches)
        var table = Table([
            "predicted job", "predicted, s", "measured, s", "predicted / measured", "wall, s",
            "processor time a lane, s",
        ])
        for job in jobs {
            try readInputs()
            // The first command measures what it needs. The second one is what a user sees from then on.
            let predicted = try [job, job].map { try predict($0, caches: caches) }[1]
            let outcome = try run(job, predicted: predicted)
            table.add([
                job.title, fixed(outcome.predicted), fixed(outcome.measured),
                fixed(outcome.predicted / outcome.measured), fixed(outcome.wall), fixed(outcome.processor),
            ])
        }
        print("\npredictions: \(Self.workers) workers; measured from the job's acceptance to its end, inputs warm")
        print(table.text)
    }

    private func run(_ job: PredictedJob, predicted: Double) throws -> Outcome {
        let output = directory.file("predictions/out")
        try? FileManager.default.removeItem(atPath: output)
        let run = try KfacctlRun(binaries: binaries).run(job.file, workers: Self.workers, output: output)
        guard let accepted = run.log.time(of: "job accepted"), let ended = run.log.time(of: "job ended") else {
            throw MeasuredJobFailure(job: job.file, exitStatus: 0, log: run.log.text)
        }
        return Outcome(
            predicted: predicted, measured: ended.timeIntervalSince(accepted), wall: run.wallSeconds,
            processor: run.processorSeconds / Double(max(1, run.log.lanes)))
    }

    private func predict(_ job: PredictedJob, caches: String) throws -> Double {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "\(binaries)/kfacctl")
        process.arguments = ["plan", job.file, "--output", "json", "--overwrite"]
        process.environment = ProcessInfo.processInfo.environment.merging(["XDG_CACHE_HOME": caches]) { $1 }
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let bytes = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        let plan = try JSONSerialization.jsonObject(with: bytes) as? [String: Any]
        guard let seconds = ((plan?["time"] as? [String: Any])?["seconds"] as? NSNumber)?.doubleValue else {
            throw MeasuredJobFailure(
                job: job.file, exitStatus: process.terminationStatus, log: String(decoding: bytes, as: UTF8.self))
        }
        return seconds
    }

    // MARK: - The jobs

    private func makeJobs() throws -> [PredictedJob] {
        try writeModels()
        let tiny = try TinyLayers(units: size.trivialUnits, in: directory)
        let captures = "kfac: {input_digests: header}\n"
        var jobs = [
            PredictedJob(title: "many small units", file: tiny.job),
            try job("factors", "task_arithmetic", captures, small(captured: true), base: "small", "[factors, report]"),
            try job(
                "factors, regularizers, inverses", "task_arithmetic", captures, small(captured: true), base: "small",
                "[factors, regularizer, inverses, report]"),
        ]
        let weights = "weight: 0.5", thinned = "weight: 0.5, density: 0.5"
        for (method, parameters) in [
            ("linear", weights), ("task_arithmetic", weights), ("ties", thinned), ("dare_ties", thinned),
            ("karcher", ""), ("model_stock", ""),
        ] {
            let models = (1...2).map { "  - {model: large\($0).safetensors, parameters: {\(parameters)}}\n" }.joined()
            jobs.append(try job(method, method, "", models, base: "large", "[merged]"))
        }
        let other = "  - model: large1.safetensors\n"
        jobs.append(try job("slerp", "slerp", "parameters: {t: 0.4}\n", other, base: "large", "[merged]"))
        for method in ["wudi", "tsv_m", "iso_c"] {
            jobs.append(try job(method, method, "", small(captured: false), base: "small", "[merged]"))
        }
        for method in ["kfac", "kfac_exact"] {
            jobs.append(try job(method, method, "", small(captured: true), base: "small", "[merged]"))
        }
        return jobs
    }

    private func job(
        _ title: String, _ method: String, _ settings: String, _ models: String, base: String, _ outputs: String
    ) throws -> PredictedJob {
        let text =
            "merge_method: \(method)\nbase_model: \(base)0.safetensors\n\(settings)models:\n\(models)"
            + "outputs: \(outputs)\noutput: out\n"
        let words = title.replacing(", ", with: "-").replacing(" ", with: "-")
        let path = directory.file("predictions/\(words).yaml")
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return PredictedJob(title: title, file: path)
    }

    /// The models of a merge of matrices, which takes long.
    private func small(captured: Bool) -> String {
        (1...Self.tasks).map { task in
            let captures = captured ? ", captures: captures\(task).safetensors" : ""
            return "  - {name: task\(task), model: small\(task).safetensors\(captures)}\n"
        }.joined()
    }

    private func writeModels() throws {
        let files = ModelFiles(directory: directory)
        let large = (0..<size.mergedTensors / 2).map {
            TensorDescription(name: "layer.\($0).weight", dataType: .bfloat16, shape: size.mergedShape)
        }
        for model in 0...2 { try files.write("predictions/large\(model).safetensors", large, seed: 1 + model) }
        let (width, rows) = (size.predictedWidth, size.rows / 2)
        let layers = [("qkv", width, 3 * width), ("proj", width, width), ("fc1", width, 4 * width)]
        let weights = layers.map { TensorDescription(name: "\($0.0).weight", dataType: .float32, shape: [$0.2, $0.1]) }
        for model in 0...Self.tasks {
            try files.write("predictions/small\(model).safetensors", weights, seed: 1 + model)
        }
        let captures = layers.flatMap { name, inputs, outputs in
            [("input", inputs), ("output_grad", outputs)].map {
                TensorDescription(name: "\(name).\($0.0)", dataType: .float32, shape: [rows, $0.1])
            }
        }
        for task in 1...Self.tasks {
            try files.write(
                "predictions/captures\(task).safetensors", captures,
                metadata: ["format": "kfacd.capture/1", "samples": "\(rows / 50)", "probes": "1"], seed: 100 + task)
        }
    }

    /// Reads the inputs, so that every job finds them in the page cache.
    private func readInputs() throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: directory.file("predictions"))
        where name.hasSuffix(".safetensors") {
            _ = try SafetensorsFile(opening: .init(directory.file("predictions/\(name)"))).sha256()
        }
    }
}
