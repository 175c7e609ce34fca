/// What a coordinator tells a client whose job it checks, where clients act on it.
public enum AdmissionNotes {
    /// The job is checked and not recorded yet.
    public static let recording = "recording the job"

    /// Why the job is not recorded, from the text that a client is told; `nil` while nothing is in the way.
    public static func obstacle(in text: String) -> String? {
        guard text.hasPrefix("\(recording): ") else { return nil }
        return String(text.dropFirst(recording.count + 2))
    }
}
