import Foundation
import TestSupport

extension SmallModel {
    /// Makes the check of the job take hours.
    ///
    /// The base gets a tensor of a tebibyte without content on the disk, and a capture names the base's digest.
    ///
    /// - Throws: what Foundation throws when a file cannot be written.
    func makeCheckSlow() throws {
        captures["alpha"]?.metadata["sha256_base"] = String(repeating: "0", count: 64)
        try write()
        let byteCount = 1 << 40
        let header = "{\"filler\":{\"dtype\":\"U8\",\"shape\":[\(byteCount)],\"data_offsets\":[0,\(byteCount)]}}"
        let file = TensorFile.bytes(header: header)
        let path = directory.appending("base.safetensors")
        try file.write(to: URL(fileURLWithPath: path))
        guard truncate(path, file.count + byteCount) == 0 else {
            throw WaitError(description: "\(path): no sparse file of \(byteCount) bytes: errno \(errno)")
        }
    }

    /// Waits until a process reads the base.
    ///
    /// - Throws: ``WaitError`` when the process ends before, or does not read it in time.
    func waitForCheck(by program: RunningProgram) async throws {
        let base = directory.appending("base.safetensors")
        try await eventually("the check of \(base)", finding: program.logTail) {
            guard program.isRunning else { throw WaitError(description: program.logTail) }
            let descriptors = "/proc/\(program.number)/fd"
            let names = (try? FileManager.default.contentsOfDirectory(atPath: descriptors)) ?? []
            return names.contains {
                (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(descriptors)/\($0)")) == base
            }
        }
    }
}
