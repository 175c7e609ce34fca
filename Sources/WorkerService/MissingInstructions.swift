/// Instructions that a backend needs and the processor lacks.
struct MissingInstructions: Error, CustomStringConvertible {
    let backend: String
    let instructions: String

    var description: String {
        "the backend \(backend) needs a processor with \(instructions), which this one lacks. Set backend to auto, "
            + "or start the worker on another machine."
    }
}
