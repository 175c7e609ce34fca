import ArgumentParser
import Console
import Laboratory
import Study
import SystemPackage

/// `kfaclab capture`: records the rows from which the daemon computes a task's factors.
struct CaptureCommand: Experiment {
    static let configuration = CommandConfiguration(
        commandName: "capture", abstract: "Writes the captures of tasks: what a data owner would compute.")

    @OptionGroup var lab: LabOptions

    @Argument(help: "The tasks; all of them when none is named.")
    var tasks: [String] = []

    @Option(name: .shortAndLong, help: "The directory that receives <task>.safetensors.")
    var output: String

    @Option(help: "Training images of each task.")
    var samples = 256

    @Option(help: "Random directions of the output for each image; 1 by default.")
    var probes: Int?

    @Flag(help: "One direction for each element of the feature: exact gradients instead of random ones.")
    var exact = false

    @Option(help: "Seed of the images' choice and of the directions; 0 takes the first images.")
    var seed = 0

    func validate() throws {
        guard samples > 0 else { throw ValidationError("--samples must be at least 1.") }
        if let probes {
            guard (1...CaptureSettings.probeLimit).contains(probes) else {
                throw ValidationError("--probes must lie in 1...\(CaptureSettings.probeLimit).")
            }
            if exact { throw ValidationError("--probes and --exact exclude each other.") }
        }
    }

    func perform() async throws {
        let directory = StudyDirectory(FilePath(output))
        try directory.requireWritable(tasks.map { "\($0).safetensors" })
        let inputs = try StudyInputs(lab.directory(), tasks: tasks.isEmpty ? nil : tasks, splits: [.train])
        try directory.requireWritable(inputs.train.map { "\($0.name).safetensors" })
        let settings = CaptureSettings(
            sampleCount: samples, probes: exact ? .exact : .sampled(probes ?? 1), seed: seed)
        let recorder = CaptureRecorder(base: inputs.base, team: lab.team(for: inputs.base), settings: settings)
        try directory.makeDirectory(directory.path)
        for task in inputs.train {
            let chosen = settings.samples(of: task.name, in: task.labels.count)
            let file = directory.path.appending("\(task.name).safetensors")
            try await recorder.write(task.name, tokens: task.tokens, samples: chosen, to: file)
            Terminal.note("\(file): \(chosen.count) samples")
        }
    }
}
